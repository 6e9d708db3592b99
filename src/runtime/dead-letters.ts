import type { Clock, Log } from "../base/ports.js";
import type { DeadLetter, DeadLetterReason } from "./actor.js";

const logEveryMs = 60_000;
/** Kinds whose last log line is remembered; kinds come from anybody who sends, so there must be a bound. */
const kindsMax = 100;
/** Names come from anybody who sends, too. */
const nameLengthMax = 200;
const otherKinds = "(other kinds)";

/** Counts what came to nothing, keeps the newest for people, and logs one line for each kind and minute. */
export class DeadLetters {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #keptMax: number;
  readonly #counts: Record<DeadLetterReason, number> = {
    unknownActor: 0,
    notAnEvent: 0,
    mailboxFull: 0,
    failed: 0,
    final: 0,
    stopped: 0,
    notPerformed: 0,
  };
  readonly #newest: DeadLetter[] = [];
  readonly #loggedAtMs = new Map<string, number>();
  #total = 0;

  constructor(clock: Clock, log: Log, keptMax: number) {
    this.#clock = clock;
    this.#log = log;
    this.#keptMax = keptMax;
  }

  get total(): number {
    return this.#total;
  }

  get counts(): Readonly<Record<DeadLetterReason, number>> {
    return { ...this.#counts };
  }

  /** Oldest first. */
  newest(): readonly DeadLetter[] {
    return [...this.#newest];
  }

  add(kind: string, id: string, eventType: string, why: DeadLetterReason): void {
    this.#total++;
    this.#counts[why]++;
    const letter: DeadLetter = { kind: cut(kind), id: cut(id), eventType: cut(eventType), why };
    this.#newest.push(letter);
    if (this.#newest.length > this.#keptMax) this.#newest.shift();
    // Whoever stops an actor that saves means it, and a save that failed is an error with a line of its own.
    if (why !== "notPerformed") this.#logNowAndThen(letter);
  }

  #logNowAndThen(letter: DeadLetter): void {
    const known = this.#loggedAtMs.has(letter.kind) || this.#loggedAtMs.size < kindsMax;
    const key = known ? letter.kind : otherKinds;
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#loggedAtMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < logEveryMs) return;
    this.#loggedAtMs.set(key, nowMs);
    this.#log.warn(
      { ...letter, deadLetters: this.#total },
      "an event came to nothing; further ones of this kind are only counted for a minute",
    );
  }
}

function cut(name: string): string {
  return name.length <= nameLengthMax ? name : name.slice(0, nameLengthMax);
}
