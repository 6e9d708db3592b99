import { setTimeout as pause } from "node:timers/promises";
import { inspect } from "node:util";
import { messageOf } from "../../src/base/errors.js";

export interface Patience {
  /** Default 20 s: generous, as only a test that fails uses it up. */
  readonly withinMs?: number;
  /** Between two tries. Default 20 ms. */
  readonly everyMs?: number;
}

type Falsy = false | 0 | "" | null | undefined;
type Seen<T> = { readonly value: T } | { readonly thrown: unknown };

/**
 * Waits for a value by asking again and again: the only way a test waits. Nothing (any falsy value) and a throw
 * both mean "not yet". For a check that asserts and returns nothing there is `eventuallyPasses`.
 *
 * @returns the first value that is not falsy
 * @throws Error after `withinMs`, with what was seen last; what `check` threw last is its cause
 *
 * @example
 * const member = await eventually(async () => (await client.instances.ls()).items.find((one) => one.id === "i1"));
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 20_000, everyMs = 20 }: Patience = {},
): Promise<Exclude<T, Falsy>> {
  const startedAtMs = performance.now();
  for (let tries = 1; ; tries++) {
    const seen = await attempt(check);
    if ("value" in seen && isThere(seen.value)) return seen.value;
    const waitedMs = performance.now() - startedAtMs;
    if (waitedMs >= withinMs) throw tooLate(seen, waitedMs, tries);
    await pause(everyMs);
  }
}

/**
 * Waits until assertions hold.
 *
 * @throws Error after `withinMs`, with the last failed assertion as its cause
 *
 * @example
 * await eventuallyPasses(() => expect(seen).toEqual(["v1", "v2"]));
 */
export async function eventuallyPasses(
  check: () => void | Promise<void>,
  patience: Patience = {},
): Promise<void> {
  await eventually(async () => {
    await check();
    return true;
  }, patience);
}

function isThere<T>(value: T): value is Exclude<T, Falsy> {
  return Boolean(value);
}

async function attempt<T>(check: () => T | Promise<T>): Promise<Seen<T>> {
  try {
    return { value: await check() };
  } catch (thrown) {
    return { thrown };
  }
}

function tooLate(seen: Seen<unknown>, waitedMs: number, tries: number): Error {
  const waited = `not true after ${Math.round(waitedMs)} ms and ${tries} tries`;
  if ("thrown" in seen) {
    return new Error(`${waited}; last it threw: ${messageOf(seen.thrown)}`, { cause: seen.thrown });
  }
  return new Error(`${waited}; last seen: ${inspect(seen.value, { depth: 4, breakLength: 100 })}`);
}
