import { messageOf } from "../base/errors.js";
import type { Clock, Log } from "../base/ports.js";

const againAfterMs = 60_000;

/** What lasts, a full or damaged ledger, comes again with each try: it is told once a minute, and is there for a minute after the last. */
export class LastingProblem {
  readonly #clock: Clock;
  readonly #log: Log;
  #told: { readonly problem: string; readonly atMs: number } | undefined;
  #last: { readonly problem: string; readonly atMs: number } | undefined;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  log(level: "warn" | "error", error: unknown, sentence: string): void {
    const problem = messageOf(error);
    const now = this.#clock.monotonicMs();
    const told = this.#told;
    this.#last = { problem, atMs: now };
    const isNews = told?.problem !== problem || now - told.atMs >= againAfterMs;
    if (isNews) this.#told = { problem, atMs: now };
    this.#log[isNews ? level : "debug"]({ error: problem }, sentence);
  }
  /** What came within the last minute; `null` if nothing did. */
  get lately(): string | null {
    const last = this.#last;
    return last !== undefined && this.#clock.monotonicMs() - last.atMs < againAfterMs ? last.problem : null;
  }
}
