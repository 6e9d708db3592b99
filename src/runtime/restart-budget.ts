import type { Supervision } from "./actor.js";

/** What holds where an actor's owner says nothing else. */
const defaultSupervision = {
  restartsMax: 5,
  withinMs: 60_000,
  backoffMs: 250,
  backoffMaxMs: 30_000,
} as const;

/** Counts an actor's restarts within a sliding window, and says how long to wait for the next one. */
export class RestartBudget {
  readonly #rule: Omit<Supervision, "restoreFrom" | "onGiveUp">;
  /** Times of the restarts within the window, oldest first; never more than `restartsMax`. */
  #restartedAtMs: number[] = [];

  constructor(rule: Partial<Supervision> = {}) {
    this.#rule = { ...defaultSupervision, ...rule };
  }

  /** Takes one restart out of the budget: the wait before it, or `undefined` if the budget is used up. */
  take(monotonicMs: number): number | undefined {
    const { restartsMax, withinMs, backoffMs, backoffMaxMs } = this.#rule;
    this.#restartedAtMs = this.#restartedAtMs.filter((at) => monotonicMs - at < withinMs);
    const before = this.#restartedAtMs.length;
    if (before >= restartsMax) return undefined;
    this.#restartedAtMs.push(monotonicMs);
    return Math.min(backoffMaxMs, backoffMs * 2 ** before);
  }
}
