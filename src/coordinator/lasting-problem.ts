import { messageOf } from "../base/errors.js";
import type { Clock, Log } from "../base/ports.js";

const againAfterMs = 60_000;

/** What lasts, a full or damaged ledger, comes again with each try: it is told once a minute. */
export class LastingProblem {
  readonly #clock: Clock;
  readonly #log: Log;
  #told: { readonly problem: string; readonly atMs: number } | undefined;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  log(level: "warn" | "error", error: unknown, sentence: string): void {
    const problem = messageOf(error);
    const now = this.#clock.monotonicMs();
    const told = this.#told;
    const isNews = told?.problem !== problem || now - told.atMs >= againAfterMs;
    if (isNews) this.#told = { problem, atMs: now };
    this.#log[isNews ? level : "debug"]({ error: problem }, sentence);
  }
}
