import { messageOf } from "../../base/errors.js";
import type { Clock, Log, Subscription, Timer } from "../../base/ports.js";
import { isAlive } from "../../base-node/process-identity.js";
import type { ProcessExit, ProcessIdentity } from "../ports.js";

/** How often a process that an earlier run of the agent started is looked at: the system tells its end only to its parent. */
const pollMs = 250;
/** Ends of children that nobody has asked for yet; beyond it the oldest is known as "ended somehow". */
const exitsMax = 1_000;

interface Child {
  /** Resolves when its end was told. */
  told: Promise<void>;
  exit: ProcessExit | undefined;
  readonly listeners: Set<(exit: ProcessExit) => void>;
}

interface ExitWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Ends what a process has left behind; its end is told when this is done. */
  readonly cleanUp: (identity: ProcessIdentity) => Promise<void>;
}

/** Tells of the end of processes: of this run's children with how they ended, of others that they ended. */
export class ExitWatch {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #cleanUp: ExitWatchOptions["cleanUp"];
  readonly #children = new Map<string, Child>();

  constructor({ clock, log, cleanUp }: ExitWatchOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#cleanUp = cleanUp;
  }

  /** Takes note of a child that was started just now. */
  follow(identity: ProcessIdentity, exited: Promise<ProcessExit>): void {
    const child: Child = { told: Promise.resolve(), exit: undefined, listeners: new Set() };
    this.#children.set(keyOf(identity), child);
    child.told = exited.then(async (exit) => {
      await this.#cleanedUp(identity);
      child.exit = exit;
      for (const listener of [...child.listeners]) this.#tell(listener, exit);
      this.#dropOldest();
    });
  }

  /** Calls `ended` once, in a later turn of the loop at the earliest. */
  onExit(identity: ProcessIdentity, ended: (exit: ProcessExit) => void): Subscription {
    const child = this.#children.get(keyOf(identity));
    if (child === undefined) return this.#poll(identity, ended);
    if (child.exit !== undefined) return this.#later(child.exit, ended);
    child.listeners.add(ended);
    return { unsubscribe: () => child.listeners.delete(ended) };
  }

  /** Waits until the end of a child that is ending was told, and drops how it ended: nobody will ask again. */
  async forget(identity: ProcessIdentity): Promise<void> {
    await this.#children.get(keyOf(identity))?.told;
    this.#children.delete(keyOf(identity));
  }

  #poll(identity: ProcessIdentity, ended: (exit: ProcessExit) => void): Subscription {
    let timer: Timer;
    let isOver = false;
    const look = () => {
      if (isAlive(identity)) timer = this.#clock.setTimer(pollMs, look);
      else
        void this.#cleanedUp(identity).then(() => isOver || this.#tell(ended, { code: null, signal: null }));
    };
    timer = this.#clock.setTimer(0, look);
    return {
      unsubscribe() {
        isOver = true;
        timer.cancel();
      },
    };
  }

  #later(exit: ProcessExit, ended: (exit: ProcessExit) => void): Subscription {
    const timer = this.#clock.setTimer(0, () => this.#tell(ended, exit));
    return { unsubscribe: () => timer.cancel() };
  }

  async #cleanedUp(identity: ProcessIdentity): Promise<void> {
    try {
      await this.#cleanUp(identity);
    } catch (thrown) {
      this.#log.error(
        { pid: identity.pid, problem: messageOf(thrown) },
        "what an ended service left behind could not be ended",
      );
    }
  }

  #tell(listener: (exit: ProcessExit) => void, exit: ProcessExit): void {
    try {
      listener(exit);
    } catch (thrown) {
      this.#log.error({ problem: messageOf(thrown) }, "what was to happen at the end of a service failed");
    }
  }

  #dropOldest(): void {
    for (const [key, { exit }] of this.#children) {
      if (this.#children.size <= exitsMax) return;
      if (exit !== undefined) this.#children.delete(key);
    }
  }
}

function keyOf({ pid, startTime, bootId }: ProcessIdentity): string {
  return `${pid} ${startTime} ${bootId}`;
}
