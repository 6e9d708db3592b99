import type { Clock, Log } from "../base/ports.js";

const everyMs = 60_000;
/** Senders whose last line is remembered; they come from outside, so there must be a bound. */
const keysMax = 200;

/** Why something that arrived was not acted on. */
export type Complaint =
  /** Of a desired state: it does not parse. */
  | "desiredGarbage"
  /** Of a desired state: its format is newer than ours. */
  | "desiredNewer"
  /** Of a desired state: it names another agent. */
  | "desiredForeign"
  /** Of a request: it does not parse, or asks for what there is not. */
  | "askGarbage"
  /** Of a request: its epoch is over. */
  | "askStale"
  /** Of a record on this host's disk: nobody can read it. */
  | "journalUnreadable"
  /** The desired state could not be read. */
  | "readFailed"
  /** Work that nobody waits for has failed. */
  | "workFailed";

/** Counts what went wrong, and logs one line for each kind and sender a minute. */
export class Complaints {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counts: Record<Complaint, number> = {
    desiredGarbage: 0,
    desiredNewer: 0,
    desiredForeign: 0,
    askGarbage: 0,
    askStale: 0,
    journalUnreadable: 0,
    readFailed: 0,
    workFailed: 0,
  };
  readonly #loggedAtMs = new Map<string, number>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get counts(): Readonly<Record<Complaint, number>> {
    return { ...this.#counts };
  }

  add(what: Complaint, sender: string, facts: object, sentence: string): void {
    this.#counts[what]++;
    const known = this.#loggedAtMs.has(`${what} ${sender}`) || this.#loggedAtMs.size < keysMax;
    const key = known ? `${what} ${sender}` : what;
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#loggedAtMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < everyMs) return;
    this.#loggedAtMs.set(key, nowMs);
    this.#log.warn({ what, from: sender, count: this.#counts[what], ...facts }, sentence);
  }
}
