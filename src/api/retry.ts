import { messageOf, RollcallError } from "../base/errors.js";
import type { Clock, Log, Random } from "../base/ports.js";
import { wait } from "./wait.js";

const backoffMs = 250;
const backoffMaxMs = 4_000;
/** Nobody listening is seldom cured by waiting, and somebody waits for the sentence. */
const nobodyListensTriesMax = 3;

/** The request reached nobody who would carry it out. */
const nothingHappened: ReadonlySet<string> = new Set(["NO_LEADER", "NO_CONTROL_PLANE"]);
/** The request may have been carried out. */
const nobodyKnows: ReadonlySet<string> = new Set([
  "REQUEST_TIMEOUT",
  "LEDGER_UNAVAILABLE",
  "NATS_UNREACHABLE",
  "DEPOSED",
]);

/** Whether what failed may pass by itself: a change of leader, a restart, a lost connection. */
export function isPassing(thrown: unknown): thrown is RollcallError {
  return (
    thrown instanceof RollcallError && (nothingHappened.has(thrown.code) || nobodyKnows.has(thrown.code))
  );
}

/** Tries again what may help and does no harm, with growing pauses. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  options: {
    repeatable: boolean;
    retries: number;
    clock: Clock;
    random: Random;
    log?: Log | undefined;
    what: string;
  },
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (thrown) {
      if (!mayTryAgain(thrown, tries, options)) throw thrown;
      const pauseMs = pauseBefore(tries, options.random);
      options.log?.debug({ what: options.what, problem: messageOf(thrown), tries, pauseMs }, "asking again");
      await wait(options.clock, pauseMs);
    }
  }
}

function mayTryAgain(
  thrown: unknown,
  tries: number,
  { repeatable, retries }: { repeatable: boolean; retries: number },
): boolean {
  if (!isPassing(thrown) || tries > retries) return false;
  if (thrown.code === "NO_CONTROL_PLANE") return tries < nobodyListensTriesMax;
  return nothingHappened.has(thrown.code) || repeatable;
}

/** Doubled each time, and spread so that many callers do not come back together. */
function pauseBefore(tries: number, random: Random): number {
  const fullMs = Math.min(backoffMs * 2 ** (tries - 1), backoffMaxMs);
  return Math.round(fullMs * (0.5 + 0.5 * random.unit()));
}
