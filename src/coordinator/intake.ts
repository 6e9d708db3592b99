import type { Sighting } from "../../machines/member.js";
import type { BusMessage, Subscription } from "../base/ports.js";
import { type Report, reportSchema } from "../contracts/instance.js";
import { instanceOfSubject } from "../contracts/subjects.js";
import type { Members } from "./members.js";
import type { SilenceWatch } from "./silence-watch.js";
import type { Term } from "./term.js";

/** Instances whose bad reports are remembered, so that a log line a sender and minute is enough. */
const badSendersMax = 1_000;
const badLogEveryMs = 60_000;
const askEveryMs = 1_000;

/** What is kept of an instance's reports between two of them. */
interface Heard {
  incarnation: string;
  seq: number;
  digest: string;
  observedGeneration: number;
  askedAtMs: number;
}

export interface IntakeStats {
  readonly taken: number;
  readonly bad: number;
  readonly late: number;
  readonly strangers: number;
}

const decoder = new TextDecoder();

/**
 * Takes the reports of all instances in: checks them, hears them, and hands on what says something new. A report that
 * repeats what its member knows costs no event. What does not parse is counted, logged once a sender and minute, and dropped.
 */
export class Intake {
  readonly #term: Term;
  readonly #members: Members;
  readonly #watch: SilenceWatch;
  readonly #onJoin: (report: Report) => void;
  readonly #heard = new Map<string, Heard>();
  readonly #badAtMs = new Map<string, number>();
  readonly stats = { taken: 0, bad: 0, late: 0, strangers: 0 };
  #subscription: Subscription | undefined;

  constructor(term: Term, members: Members, watch: SilenceWatch, onJoin: (report: Report) => void) {
    this.#term = term;
    this.#members = members;
    this.#watch = watch;
    this.#onJoin = onJoin;
  }

  start(): void {
    const { bus, subjects } = this.#term;
    this.#subscription = bus.subscribe(subjects.health("*"), (message) => this.take(message));
  }

  stop(): void {
    this.#subscription?.unsubscribe();
  }

  /** The next report of the instance is taken as its first: it left, or belongs to another agent now. */
  forget(instance: string): void {
    this.#heard.delete(instance);
    this.#watch.forget(instance);
  }

  /** How long ago an instance reported to this leader; `null` if it has not. */
  heardAgoMs(instance: string): number | null {
    return this.#heard.has(instance) ? this.#watch.heardAgoMs(instance) : null;
  }

  take(message: BusMessage): void {
    const report = this.#parse(message);
    if (report === undefined) return;
    const member = this.#members.find(report.instance);
    if (member === undefined) {
      if (report.state === undefined) this.#ask(report.instance, undefined);
      else this.#onJoin(report);
      return;
    }
    const { context, value } = member.snapshot();
    if (context.record.agent !== report.agent) {
      this.stats.strangers++;
      if (context.stranger !== report.agent) member.send({ type: "stranger", agent: report.agent });
      return;
    }
    const heard = this.#heard.get(report.instance);
    if (heard !== undefined && heard.incarnation === report.incarnation && report.seq <= heard.seq) {
      this.stats.late++;
      return;
    }
    this.stats.taken++;
    this.#watch.hear(report.instance);
    const isSame =
      heard !== undefined &&
      heard.digest === report.digest &&
      heard.observedGeneration === report.observedGeneration;
    if (isSame && value.update !== "IN_PROGRESS" && !context.silent) {
      heard.incarnation = report.incarnation;
      heard.seq = report.seq;
      return;
    }
    this.#handOn(report, heard, context.seen);
  }

  #handOn(report: Report, heard: Heard | undefined, seen: Sighting | null): void {
    const state = report.state ?? (seen?.digest === report.digest ? seen.state : undefined);
    if (state === undefined) {
      this.#ask(report.instance, heard);
      return;
    }
    const { incarnation, seq, digest, observedGeneration, healthyForMs, phaseAgeMs } = report;
    const taken = this.#members.find(report.instance)?.send({
      type: "report",
      sighting: { incarnation, observedGeneration, digest, healthyForMs, phaseAgeMs, state },
    });
    // What the mailbox refused is not known: the next report says it again.
    if (taken)
      this.#heard.set(report.instance, {
        incarnation,
        seq,
        digest,
        observedGeneration,
        askedAtMs: heard?.askedAtMs ?? 0,
      });
  }

  /** Takes the first report of a new member in, which {@link take} handed to `onJoin`. */
  accept(report: Report): void {
    this.stats.taken++;
    this.#watch.hear(report.instance);
    this.#handOn(report, undefined, null);
  }

  #parse(message: BusMessage): Report | undefined {
    let problem: string;
    try {
      const parsed = reportSchema.safeParse(JSON.parse(decoder.decode(message.data)));
      if (parsed.success && instanceOfSubject(message.subject) === parsed.data.instance) return parsed.data;
      problem = parsed.success
        ? "it is about another instance than its subject"
        : (parsed.error.issues[0]?.message ?? "it does not parse");
    } catch {
      problem = "it is no JSON";
    }
    this.stats.bad++;
    this.#logBad(message.subject, problem);
    return undefined;
  }

  #logBad(subject: string, problem: string): void {
    const now = this.#term.clock.monotonicMs();
    const last = this.#badAtMs.get(subject);
    if (last !== undefined && now - last < badLogEveryMs) return;
    if (this.#badAtMs.size >= badSendersMax) this.#badAtMs.clear();
    this.#badAtMs.set(subject, now);
    this.#term.log.warn({ subject, problem, bad: this.stats.bad }, "a report was dropped");
  }

  /** Asks an instance for its whole state, at most once a second. */
  #ask(instance: string, heard: Heard | undefined): void {
    const { clock, bus, subjects, leadership } = this.#term;
    const now = clock.monotonicMs();
    if (heard !== undefined) {
      if (now - heard.askedAtMs < askEveryMs && heard.askedAtMs > 0) return;
      heard.askedAtMs = now;
    }
    bus.publish(
      subjects.ask(instance, "report"),
      JSON.stringify({ epoch: leadership.epoch, intervalMs: this.#watch.intervalMs }),
    );
  }
}
