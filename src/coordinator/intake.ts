import { livenessWindowMs, reportIntervalMs } from "../../machines/liveness.js";
import type { Sighting } from "../../machines/member.js";
import type { BusMessage, Subscription } from "../base/ports.js";
import { type Report, reportSchema } from "../contracts/instance.js";
import { instanceOfSubject } from "../contracts/subjects.js";
import type { MemberActor, Members } from "./members.js";
import type { SilenceWatch } from "./silence-watch.js";
import type { Term } from "./term.js";

/** Instances whose bad reports are remembered, so that a log line a sender and minute is enough. */
const badSendersMax = 1_000;
const badLogEveryMs = 60_000;
const askEveryMs = 1_000;

/** What is kept of an instance's reports between two of them. */
interface Heard {
  incarnation: string;
  /** The incarnation before it: its reports are late ones. */
  formerly: string | null;
  /** How often it reports, as far as it was told. */
  intervalMs: number;
  seq: number;
  digest: string;
  observedGeneration: number;
  askedAtMs: number | null;
}

export interface IntakeStats {
  readonly taken: number;
  readonly bad: number;
  readonly late: number;
  readonly strangers: number;
}

/** An interval this much off is not worth a message. */
const intervalSlack = 0.2;

const decoder = new TextDecoder();

/** It came behind newer ones, or for the second time. */
function isLate({ incarnation, seq }: Report, heard: Heard): boolean {
  return incarnation === heard.formerly || (incarnation === heard.incarnation && seq <= heard.seq);
}

function newlyHeard({ incarnation, seq, digest, observedGeneration }: Report): Heard {
  const intervalMs = reportIntervalMs(0);
  return { incarnation, formerly: null, seq, digest, observedGeneration, intervalMs, askedAtMs: null };
}

function note(heard: Heard, { incarnation, seq }: Report): void {
  if (incarnation !== heard.incarnation) heard.formerly = heard.incarnation;
  heard.incarnation = incarnation;
  heard.seq = seq;
}

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
  /** Instances under whose name another agent reports, by the monotonic time of its newest report. */
  readonly #strangeAtMs = new Map<string, number>();
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
    this.#strangeAtMs.delete(instance);
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
      this.#takeStranger(report, member);
      return;
    }
    const heard = this.#heard.get(report.instance);
    if (heard !== undefined && isLate(report, heard)) {
      this.stats.late++;
      return;
    }
    this.stats.taken++;
    this.#watch.hear(report.instance);
    if (heard !== undefined) this.#assignInterval(report.instance, heard);
    const isSame =
      heard !== undefined &&
      heard.digest === report.digest &&
      heard.observedGeneration === report.observedGeneration;
    // Who is on its way is judged by how long it has been healthy, which no digest says.
    const isSettled = value.update !== "IN_PROGRESS" && value.update !== "FAILED";
    if (isSame && isSettled && !context.silent) {
      note(heard, report);
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
    const { incarnation, digest, observedGeneration, healthyForMs, phaseAgeMs } = report;
    const taken = this.#members.find(report.instance)?.send({
      type: "report",
      sighting: { incarnation, observedGeneration, digest, healthyForMs, phaseAgeMs, state },
    });
    // What the mailbox refused is not known: the next report says it again.
    if (!taken) return;
    const now = heard ?? newlyHeard(report);
    note(now, report);
    now.digest = digest;
    now.observedGeneration = observedGeneration;
    this.#heard.set(report.instance, now);
  }

  #takeStranger(report: Report, member: MemberActor): void {
    const { instance, agent } = report;
    const { record, stranger } = member.snapshot().context;
    this.stats.strangers++;
    this.#strangeAtMs.set(instance, this.#term.clock.monotonicMs());
    if (stranger === agent) return;
    member.send({ type: "stranger", agent });
    const facts = { instance, owner: record.agent, stranger: agent, code: "INSTANCE_TAKEN" };
    this.#term.log.warn(facts, "a second agent reports under the name of an instance, and is told nothing");
  }

  /** Forgets the strangers that have fallen silent. */
  sweep(): void {
    const silentSinceMs = this.#term.clock.monotonicMs() - livenessWindowMs(this.#watch.intervalMs);
    for (const [instance, atMs] of this.#strangeAtMs) {
      if (atMs > silentSinceMs) continue;
      this.#strangeAtMs.delete(instance);
      this.#members.find(instance)?.send({ type: "stranger", agent: null });
    }
  }

  /** A fleet that has grown or shrunk reports at another interval. */
  #assignInterval(instance: string, heard: Heard): void {
    const { intervalMs } = this.#watch;
    if (Math.abs(intervalMs - heard.intervalMs) > heard.intervalMs * intervalSlack)
      this.#ask(instance, heard);
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
      if (heard.askedAtMs !== null && now - heard.askedAtMs < askEveryMs) return;
      heard.askedAtMs = now;
      heard.intervalMs = this.#watch.intervalMs;
    }
    bus.publish(
      subjects.ask(instance, "report"),
      JSON.stringify({ epoch: leadership.epoch, intervalMs: this.#watch.intervalMs }),
    );
  }
}
