import type { BusMessage, Clock, Log } from "../base/ports.js";
import { idSchema } from "../contracts/names.js";

/** Senders whose bad reports are remembered, so that a log line a sender and minute is enough. */
const badSendersMax = 1_000;
const badLogEveryMs = 60_000;
/** Instances whose reports cannot be read, and that may be asked for older ones within {@link askEveryMs}. */
const newerAskedMax = 1_000;

/** Between two asks of one instance, at least. */
export const askEveryMs = 1_000;

const decoder = new TextDecoder();

/** The instance that the content of a report names; empty if none. */
export function nameIn(content: unknown): string {
  const name =
    typeof content === "object" && content !== null && "instance" in content ? content.instance : "";
  return typeof name === "string" ? name : "";
}

/** Whether a subject is about an instance, whose id is a token as it is. @param begin what comes before the id */
export function isSubjectOf(subject: string, begin: string, instance: string): boolean {
  return (
    subject.length === begin.length + instance.length &&
    subject.startsWith(begin) &&
    subject.endsWith(instance)
  );
}

/** Forgets what was noted before a moment, in a map whose entries were noted one after the other. */
function forgetOlder(atMs: Map<string, number>, untilMs: number): void {
  for (const [key, notedAtMs] of atMs) {
    if (notedAtMs > untilMs) return;
    atMs.delete(key);
  }
}

/** Reports that cannot be taken: counted, and logged once a sender and minute, whoever sends how many. */
export class BadReports {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #loggedAtMs = new Map<string, number>();
  /** When instances whose reports cannot be read were asked for older ones, the latest last. */
  readonly #newerAskedAtMs = new Map<string, number>();
  #count = 0;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  get count(): number {
    return this.#count;
  }

  /** What is in a message; `undefined` if it is no JSON. */
  contentOf({ data, subject }: BusMessage): unknown {
    try {
      return JSON.parse(decoder.decode(data));
    } catch {
      this.drop(subject, "it is no JSON");
      return undefined;
    }
  }

  drop(subject: string, problem: string): void {
    this.#count++;
    this.tell(subject, problem);
  }

  /** Logs that a report was dropped that could have been taken. */
  tell(subject: string, problem: string): void {
    const now = this.#clock.monotonicMs();
    const last = this.#loggedAtMs.get(subject);
    if (last !== undefined && now - last < badLogEveryMs) return;
    this.#loggedAtMs.delete(subject);
    if (this.#loggedAtMs.size >= badSendersMax) forgetOlder(this.#loggedAtMs, now - badLogEveryMs);
    // So many different senders in one minute are counted only.
    if (this.#loggedAtMs.size >= badSendersMax) return;
    this.#loggedAtMs.set(subject, now);
    this.#log.warn({ subject, problem, bad: this.#count }, "a report was dropped");
  }

  /** Whether an instance that reports in a newer format than is read here may be asked for an older one now. */
  mayAskForOlder(instance: string): boolean {
    const now = this.#clock.monotonicMs();
    forgetOlder(this.#newerAskedAtMs, now - askEveryMs);
    if (!idSchema.safeParse(instance).success || this.#newerAskedAtMs.has(instance)) return false;
    if (this.#newerAskedAtMs.size >= newerAskedMax) return false;
    this.#newerAskedAtMs.set(instance, now);
    return true;
  }
}
