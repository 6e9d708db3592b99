import { messageOf } from "../base/errors.js";
import type { Clock, Log } from "../base/ports.js";

/** One subject's failures are logged once in this time. */
const quietMs = 60_000;
/** Subjects of which the last log line is remembered. */
const subjectsMax = 1_000;

/** Keeps what a handler throws from stopping anything: counted always, logged once per subscription and minute. */
export class HandlerGuard {
  readonly #clock: Clock;
  readonly #log: Log | undefined;
  readonly #loggedAtMs = new Map<string, number>();
  #errors = 0;

  constructor(clock: Clock, log: Log | undefined) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Failures of handlers since the start. */
  get errors(): number {
    return this.#errors;
  }

  /** Calls `handle`, which got a message of `pattern`; a rejected promise of an async one counts as thrown. */
  run(pattern: string, handle: () => unknown): void {
    try {
      const returned = handle();
      if (returned instanceof Promise) returned.catch((thrown: unknown) => this.failed(pattern, thrown));
    } catch (thrown) {
      this.failed(pattern, thrown);
    }
  }

  /** Counts a failure that somebody else caught. */
  failed(pattern: string, thrown: unknown): void {
    this.#errors++;
    const nowMs = this.#clock.monotonicMs();
    const loggedAtMs = this.#loggedAtMs.get(pattern);
    if (loggedAtMs !== undefined && nowMs - loggedAtMs < quietMs) return;
    if (this.#loggedAtMs.size >= subjectsMax) this.#loggedAtMs.clear();
    this.#loggedAtMs.set(pattern, nowMs);
    this.#log?.warn(
      { subject: pattern, problem: messageOf(thrown), errors: this.#errors },
      "a message could not be handled and was dropped; more of this subject are counted, not logged, for a minute",
    );
  }
}
