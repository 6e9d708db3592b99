import { isOtherInterval, livenessWindowMs, reportIntervalMs } from "../../machines/liveness.js";
import type { MemberEvent } from "../../machines/member-events.js";
import type { Bus, BusMessage, Subscription } from "../base/ports.js";
import { formatOf } from "../contracts/formats.js";
import type { Report } from "../contracts/instance.js";
import { byReport } from "../contracts/origin.js";
import { instanceOfSubject } from "../contracts/subjects.js";
import { askEveryMs, BadReports, isSubjectOf, nameIn } from "./bad-reports.js";
import { formatNow, isCheckedAlready } from "./checked-report.js";
import type { MemberState } from "./members.js";
import type { Hearing, SilenceWatch } from "./silence-watch.js";
import type { Term } from "./term.js";
import { whoseWord } from "./whose-word.js";

/** An instance whose reports are taken in: an actor of the leader, or a follower's copy. */
export interface HeardMember {
  snapshot(): MemberState;
  /** @returns false if it could not be taken */
  send(event: MemberEvent): boolean;
}

/** How an instance is to report, and from which generation on it is to read what it was told, if it has not heard of it. */
export interface HowToReport {
  readonly intervalMs: number;
  readonly reportFormat: number;
  readonly generation?: number;
}

/** What takes part in the taking in. */
export interface IntakeParts {
  readonly members: { find(instance: string): HeardMember | undefined };
  readonly watch: SilenceWatch;
  /** A report of an instance that is not among the members, with its whole state. */
  onJoin(report: Report): void;
  /** An instance is to report its whole state, and like this from now on. */
  ask(instance: string, how: HowToReport): void;
  /** An instance is in a state that it has not said since this listens. */
  onMissed?(instance: string): void;
}

/** Where it happens. */
export interface IntakePlace extends Pick<Term, "clock" | "subjects" | "log" | "ledgerId"> {
  readonly bus: Pick<Bus, "subscribe">;
  readonly formats: Pick<Term["formats"], "known" | "writtenOf">;
}

/** What is kept of an instance's reports between two of them. */
interface Heard {
  readonly instance: string;
  readonly member: HeardMember;
  readonly hearing: Hearing;
  agent: string;
  ledgerId: string | null;
  incarnation: string;
  /** The incarnation before it: its reports are late ones. */
  formerly: string | null;
  /** How often it reports, as far as it was told. */
  intervalMs: number;
  seq: number;
  digest: string;
  observedGeneration: number;
  askedAtMs: number | null;
  /** The format that it reported in, or was asked for. */
  format: number;
}

/** It came behind newer ones, or for the second time. */
function isLate({ incarnation, seq }: Report, heard: Heard): boolean {
  return incarnation === heard.formerly || (incarnation === heard.incarnation && seq <= heard.seq);
}

function newlyHeard(report: Report, member: HeardMember, hearing: Hearing, format: number): Heard {
  const { instance, agent, ledgerId, incarnation, seq, digest, observedGeneration } = report;
  return {
    instance,
    member,
    hearing,
    agent,
    ledgerId,
    incarnation,
    formerly: null,
    seq,
    digest,
    observedGeneration,
    intervalMs: reportIntervalMs(0),
    askedAtMs: null,
    format,
  };
}

function note(heard: Heard, { incarnation, seq }: Report): void {
  heard.seq = seq;
  // Not the same again: a string of each report would be kept, and the one before it collected.
  if (incarnation === heard.incarnation) return;
  heard.formerly = heard.incarnation;
  heard.incarnation = incarnation;
}

/**
 * Takes the reports of all instances in: checks them, hears them, and hands on what says something new. A report that
 * repeats what its member knows costs no event. What does not parse is counted, logged once a sender and minute, and dropped.
 */
export class Intake {
  readonly #place: IntakePlace;
  readonly #parts: IntakeParts;
  readonly #members: IntakeParts["members"];
  readonly #watch: SilenceWatch;
  readonly #subjectsBegin: string;
  readonly #heard = new Map<string, Heard>();
  readonly #bad: BadReports;
  /** Instances under whose name another agent reports, by the monotonic time of its newest report. */
  readonly #strangeAtMs = new Map<string, number>();
  readonly #counts = { taken: 0, late: 0, strangers: 0 };
  #subscription: Subscription | undefined;

  constructor(place: IntakePlace, parts: IntakeParts) {
    this.#place = place;
    this.#parts = parts;
    this.#members = parts.members;
    this.#watch = parts.watch;
    this.#bad = new BadReports(place);
    this.#subjectsBegin = place.subjects.health("");
  }

  get stats(): {
    readonly taken: number;
    readonly bad: number;
    readonly late: number;
    readonly strangers: number;
  } {
    return { ...this.#counts, bad: this.#bad.count };
  }

  start(): void {
    const { bus, subjects } = this.#place;
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
    const content = this.#bad.contentOf(message);
    if (content === undefined) return;
    const heard = this.#heard.get(nameIn(content));
    const state = heard?.member.snapshot().context.seen?.state;
    if (
      heard &&
      isCheckedAlready(content, heard, state) &&
      isSubjectOf(message.subject, this.#subjectsBegin, heard.instance)
    )
      this.#takeOf(heard.member, content, heard, formatNow);
    else this.#check(content, message.subject);
  }

  /** Takes a report that the schema has taken, or would take. */
  #takeOf(member: HeardMember, report: Report, heard: Heard | undefined, format: number): void {
    const { context, value } = member.snapshot();
    if (context.record.agent !== report.agent) {
      this.#takeStranger(report, member);
      return;
    }
    if (heard !== undefined && isLate(report, heard)) {
      this.#counts.late++;
      return;
    }
    this.#counts.taken++;
    if (heard === undefined) this.#watch.hear(report.instance);
    else {
      this.#watch.hearAgain(heard.hearing);
      this.#assignInterval(report.instance, heard);
      this.#assignFormat(report.instance, heard);
      // Twice behind: the message that told it has got lost.
      const { generation } = context.record;
      if (Math.max(heard.observedGeneration, report.observedGeneration) < generation)
        this.#ask(report.instance, heard, generation);
    }
    const isSame =
      heard !== undefined &&
      heard.digest === report.digest &&
      heard.observedGeneration === report.observedGeneration &&
      heard.ledgerId === report.ledgerId;
    // Who is on its way is judged by how long it has been healthy, which no digest says.
    const isSettled = value.update !== "IN_PROGRESS" && value.update !== "FAILED";
    if (isSame && isSettled && !context.silent) {
      note(heard, report);
      return;
    }
    this.#handOn(member, report, heard, format);
  }

  #handOn(member: HeardMember, report: Report, heard: Heard | undefined, format: number): void {
    const { seen } = member.snapshot().context;
    const state = report.state ?? (seen?.digest === report.digest ? seen.state : undefined);
    if (state === undefined) {
      this.#parts.onMissed?.(report.instance);
      this.#ask(report.instance, heard);
      return;
    }
    const { incarnation, digest, observedGeneration, healthyForMs, phaseAgeMs } = report;
    const ledger = whoseWord(report, this.#place.ledgerId);
    const taken = member.send({
      type: "report",
      sighting: { incarnation, observedGeneration, ledger, digest, healthyForMs, phaseAgeMs, state },
      origin: byReport(report),
    });
    // What the mailbox refused is not known: the next report says it again.
    if (!taken) return;
    const now = heard ?? newlyHeard(report, member, this.#watch.hear(report.instance), format);
    note(now, report);
    now.digest = digest;
    now.observedGeneration = observedGeneration;
    now.agent = report.agent;
    now.ledgerId = report.ledgerId;
    this.#heard.set(report.instance, now);
  }

  #takeStranger(report: Report, member: HeardMember): void {
    const { instance, agent } = report;
    const { record, stranger } = member.snapshot().context;
    this.#counts.strangers++;
    this.#strangeAtMs.set(instance, this.#place.clock.monotonicMs());
    if (stranger === agent) return;
    member.send({ type: "stranger", agent });
    const facts = { instance, owner: record.agent, stranger: agent, code: "INSTANCE_TAKEN" };
    this.#place.log.warn(facts, "a second agent reports under the name of an instance, and is told nothing");
  }

  /** Forgets the strangers that have fallen silent. */
  sweep(): void {
    const silentSinceMs = this.#place.clock.monotonicMs() - livenessWindowMs(this.#watch.intervalMs);
    for (const [instance, atMs] of this.#strangeAtMs) {
      if (atMs > silentSinceMs) continue;
      this.#strangeAtMs.delete(instance);
      this.#members.find(instance)?.send({ type: "stranger", agent: null });
    }
  }

  /** A fleet that has grown or shrunk reports at another interval. */
  #assignInterval(instance: string, heard: Heard): void {
    if (isOtherInterval(this.#watch.intervalMs, heard.intervalMs)) this.#ask(instance, heard);
  }

  /** Its agent may know a newer format than the one that it reports in; it is asked for that once. */
  #assignFormat(instance: string, heard: Heard): void {
    if (heard.format < this.#place.formats.writtenOf("report")) this.#ask(instance, heard);
  }

  /** Takes the first report of a new member in, which {@link take} handed to `onJoin`. */
  accept(report: Report): void {
    const member = this.#members.find(report.instance);
    if (member === undefined) return;
    this.#counts.taken++;
    this.#watch.hear(report.instance);
    this.#handOn(member, report, undefined, formatNow);
  }

  #check(content: unknown, subject: string): void {
    const { report: known } = this.#place.formats.known;
    const read = known.read(content);
    if (!("record" in read)) {
      if ("newer" in read) this.#askForOlder(instanceOfSubject(subject) ?? "");
      const problem =
        "newer" in read ? `its format ${read.newer} is newer than ${known.newest}` : read.problem;
      this.#bad.drop(subject, problem);
      return;
    }
    const report = read.record;
    const { instance } = report;
    if (instanceOfSubject(subject) !== instance) {
      this.#bad.drop(subject, "it is about another instance than its subject");
      return;
    }
    const member = this.#members.find(instance);
    const format = formatOf(content) ?? formatNow;
    if (member !== undefined) this.#takeOf(member, report, this.#heard.get(instance), format);
    else if (report.state === undefined) this.#ask(instance, undefined);
    else this.#parts.onJoin(report);
  }

  /** A report that is understood and cannot be taken. */
  refuse({ instance }: Report, problem: string): void {
    this.#bad.drop(this.#place.subjects.health(instance), problem);
  }

  /** An agent newer than this control plane reports as this one reads it once it is asked to. */
  #askForOlder(instance: string): void {
    if (this.#bad.mayAskForOlder(instance)) this.#ask(instance, undefined);
  }

  /** Has instances report now that were not heard yet. */
  askFirst(instances: Iterable<string>): void {
    for (const instance of instances) this.#ask(instance, undefined);
  }

  /** Asks an instance for its whole state, at most once a second. */
  #ask(instance: string, heard: Heard | undefined, generation?: number): void {
    const reportFormat = this.#place.formats.writtenOf("report");
    const now = this.#place.clock.monotonicMs();
    if (heard !== undefined) {
      if (heard.askedAtMs !== null && now - heard.askedAtMs < askEveryMs) return;
      heard.askedAtMs = now;
      heard.intervalMs = this.#watch.intervalMs;
      heard.format = reportFormat;
    }
    const { intervalMs } = this.#watch;
    this.#parts.ask(instance, {
      intervalMs,
      reportFormat,
      ...(generation === undefined ? {} : { generation }),
    });
  }
}
