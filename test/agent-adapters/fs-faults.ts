import { AsyncLocalStorage } from "node:async_hooks";
import promises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import type { Unsynced } from "./unsynced.js";

/** What happens to the file operations of one run of an agent that is played within this process. */
export interface Life {
  /** Told of every operation, to know what a power cut would take. */
  readonly unsynced?: Unsynced;
  /** Called after each operation, before anybody hears of it; a `Death` ends the agent there. */
  after?(operation: string, count: number): void;
  /** Called before each operation that changes the disk; may throw what the operation is to fail with. */
  before(operation: string, count: number): void;
}

interface Living {
  readonly life: Life;
  count: number;
  isDead: boolean;
  readonly handles: FileHandle[];
  readonly died: Promise<"died">;
  die(): void;
}

/** Thrown by `Life.before` to end the agent there: the operation is not done, and nothing of that run ever goes on. */
export class Death extends Error {}

const living = new AsyncLocalStorage<Living>();
const changing = [
  "rename",
  "mkdir",
  "rm",
  "symlink",
  "copyFile",
  "utimes",
  "writeFile",
  "truncate",
  "open",
] as const;
const changingOfHandles = ["write", "writeFile", "appendFile", "sync"] as const;

type Operation = (...args: unknown[]) => Promise<unknown>;

/** Makes every file operation of this process ask the life that it is part of. For the whole test file; without a life nothing changes. */
export function installFsFaults(): void {
  const real = promises as unknown as Record<string, Operation>;
  for (const name of changing) {
    const operation = real[name]!.bind(promises);
    real[name] = guarded(name, async (...args) => {
      const done = living.getStore()?.life.unsynced?.doing(name, args);
      // Removed already, in a way that can be taken back.
      if (done === undefined && living.getStore()?.life.unsynced !== undefined) return undefined;
      const result = await operation(...args);
      done?.();
      if (name === "open") guardHandle(result as FileHandle, String(args[0]));
      return result;
    });
  }
  syncBuiltinESMExports();
}

function guardHandle(handle: FileHandle, path: string): void {
  const here = living.getStore();
  here?.handles.push(handle);
  const methods = handle as unknown as Record<string, Operation>;
  for (const name of changingOfHandles) {
    const operation = methods[name]!.bind(handle);
    methods[name] = guarded(`handle.${name}`, async (...args) => {
      const result = await operation(...args);
      if (name === "sync") here?.life.unsynced?.synced(path);
      else here?.life.unsynced?.wrote(path);
      return result;
    });
  }
}

function guarded(name: string, operation: Operation): Operation {
  return async (...args) => {
    const here = living.getStore();
    // Reading is not stopped, but what is read by the dead is of no use to anybody.
    if (here === undefined || (name === "open" && (args[1] === "r" || args[1] === undefined)))
      return await operation(...args);
    if (here.isDead) return await never();
    const count = ++here.count;
    if (endsIn(here, () => here.life.before(name, count))) return await never();
    const [outcome] = await Promise.allSettled([operation(...args)]);
    if (here.isDead || endsIn(here, () => here.life.after?.(name, count))) return await never();
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  };
}

function endsIn(here: Living, hook: () => void): boolean {
  try {
    hook();
    return false;
  } catch (thrown) {
    if (!(thrown instanceof Death)) throw thrown;
    here.die();
    return true;
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/**
 * Runs a piece of an agent's life. After its death nothing of it changes the disk any more, as after a SIGKILL, except
 * programs that it had started.
 *
 * @returns what the work gave, or `died`
 */
export async function live<T>(life: Life, work: () => Promise<T>): Promise<T | "died"> {
  let die: () => void = () => undefined;
  const died = new Promise<"died">((resolve) => {
    die = () => resolve("died");
  });
  const here: Living = {
    life,
    count: 0,
    isDead: false,
    handles: [],
    died,
    die() {
      here.isDead = true;
      die();
    },
  };
  const end = await living.run(here, async () => await Promise.race([work(), died]));
  // The system does this for a process that was killed.
  if (here.isDead) for (const handle of here.handles) await handle.close().catch(() => undefined);
  return end;
}

/** How many operations a piece of work takes. */
export async function countOperations(
  work: () => Promise<unknown>,
): Promise<{ count: number; names: string[] }> {
  const names: string[] = [];
  await live({ before: (name) => void names.push(name) }, work);
  return { count: names.length, names };
}

/** Ends the agent at its nth operation. */
export function dyingAt(nth: number): Life {
  return {
    before(_, count) {
      if (count === nth) throw new Death("ended by the test");
    },
  };
}

/** Ends the agent right after its nth operation. */
export function dyingAfter(nth: number): Life {
  return {
    before: () => undefined,
    after(_, count) {
      if (count === nth) throw new Death("ended by the test");
    },
  };
}

/** Lets every operation from the nth on fail for lack of room, but those that need none. */
export function fullFrom(nth: number, count = Number.POSITIVE_INFINITY): Life {
  return {
    before(operation, at) {
      const needsNoRoom = ["rm", "handle.sync", "utimes", "truncate"].includes(operation);
      if (!needsNoRoom && at >= nth && at < nth + count)
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    },
  };
}
