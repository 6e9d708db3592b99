import type { AppInstance } from "../../../machines/app-standing.js";
import type { Bus, BusMessage, Subscription } from "../../base/ports.js";
import type { AppInstanceRecord } from "../../contracts/app.js";
import type { AppReport, AppReportAsk } from "../../contracts/app-report.js";
import { formatOf } from "../../contracts/formats.js";
import { instanceOfSubject } from "../../contracts/subjects.js";
import { askEveryMs, BadReports, isSubjectOf, nameIn } from "../bad-reports.js";
import type { SilenceWatch } from "../silence-watch.js";
import type { Term } from "../term.js";
import { HeardApps, isSameAgain } from "./heard-apps.js";

/** Who does not do what is asked, or cannot, is asked ever more seldom. */
const askPauseMaxMs = 30_000;
/** An interval that instances report at before they are told of one. */
const intervalDefaultMs = 2_000;
/** States that are asked for in a second, so that the whole of a large fleet comes little by little. */
const statesPerSecondMax = 100_000;
/** Strings that are kept once. */
const internedMax = 10_000;

const rivalProblem =
  "two processes report under the same instance name, and the one that started first is not listened to: give each a name of its own";

/** What an instance is asked besides its whole report. */
export type AppAsk = Omit<AppReportAsk, "epoch" | "ledgerId">;

/** Where it happens. */
export interface AppIntakePlace extends Pick<Term, "clock" | "subjects" | "log" | "ledgerId"> {
  readonly bus: Pick<Bus, "subscribe">;
  readonly formats: Pick<Term["formats"], "known">;
  /** Ledger time now. */
  nowMs(): number;
}

/** Who takes part in the taking in. */
export interface AppIntakeParts {
  readonly watch: SilenceWatch;
  /** For so long it waits for what is missing before it asks. */
  readonly patienceMs: number;
  /** A report of an instance that was not heard before. @returns why it cannot be taken; `undefined` if it can */
  join(report: AppReport): string | undefined;
  /** Something new was said. */
  onNews(heard: HeardApps, report: AppReport): void;
  /** What more is wanted of an instance; `undefined` if nothing. */
  wants(heard: HeardApps): AppAsk | undefined;
  /** An instance is to report its whole state. */
  ask(instance: string, how: AppAsk): void;
}

/**
 * Takes in what instances say of their apps: checks it, keeps the newest state of each app, and asks for what is missing, as the digest tells.
 * A report that says what the one before it said costs a few comparisons.
 */
export class AppIntake {
  readonly #place: AppIntakePlace;
  readonly #parts: AppIntakeParts;
  readonly #bad: BadReports;
  readonly #subjectsBegin: string;
  readonly #heard = new Map<string, HeardApps>();
  readonly #interned = new Map<string, string>();
  /** What may still be asked for in this second. */
  #budget = { sinceMs: Number.NEGATIVE_INFINITY, states: 0 };
  #subscription: Subscription | undefined;

  constructor(place: AppIntakePlace, parts: AppIntakeParts) {
    this.#place = place;
    this.#parts = parts;
    this.#bad = new BadReports(place);
    this.#subjectsBegin = place.subjects.apps("");
  }

  start(): void {
    const { bus, subjects } = this.#place;
    this.#subscription = bus.subscribe(subjects.apps("*"), (message) => this.take(message));
  }

  stop(): void {
    this.#subscription?.unsubscribe();
  }

  /** Instances that were heard. */
  get size(): number {
    return this.#heard.size;
  }

  get bad(): number {
    return this.#bad.count;
  }

  /** The next report of the instance is its first. */
  forget(instance: string): void {
    this.#heard.delete(instance);
    this.#parts.watch.forget(instance);
  }

  forgetAll(): void {
    for (const instance of [...this.#heard.keys()]) this.forget(instance);
  }

  find(instance: string): HeardApps | undefined {
    return this.#heard.get(instance);
  }

  /** An instance, with what it said. */
  viewOf(record: AppInstanceRecord): AppInstance {
    const { watch } = this.#parts;
    const { instance, joinedAtMs, alertedAtMs } = record;
    const heard = this.#heard.get(instance);
    if (heard !== undefined)
      return heard.view(record, {
        isSilent: watch.isSilent(instance),
        reportAgeMs: watch.heardAgoMs(instance),
        ledgerId: this.#place.ledgerId,
      });
    return {
      instance,
      hearing: watch.isSilent(instance) ? "silent" : "unheard",
      reportAgeMs: null,
      joinedAtMs,
      heardSinceMs: this.#place.nowMs(),
      heardGeneration: 0,
      clockOffsetMs: 0,
      states: new Map(),
      alertedAtMs,
    };
  }

  take(message: BusMessage): void {
    const content = this.#bad.contentOf(message);
    if (content === undefined) return;
    const heard = this.#heard.get(nameIn(content));
    if (
      heard !== undefined &&
      isSameAgain(content, heard.last) &&
      isSubjectOf(message.subject, this.#subjectsBegin, heard.instance)
    )
      this.#takeAgain(heard, content);
    else this.#check(content, message.subject);
  }

  #takeAgain(heard: HeardApps, report: AppReport): void {
    if (report.seq <= heard.seq) return;
    this.#hear(heard, report);
    this.#attend(heard);
  }

  #check(content: unknown, subject: string): void {
    const known = this.#place.formats.known["app-report"];
    const read = known.read(content);
    if (!("record" in read)) {
      const instance = instanceOfSubject(subject) ?? "";
      if ("newer" in read && this.#bad.mayAskForOlder(instance))
        this.#parts.ask(instance, { reportFormat: known.newest });
      this.#bad.drop(
        subject,
        "newer" in read ? `its format ${read.newer} is newer than ${known.newest}` : read.problem,
      );
      return;
    }
    const report = read.record;
    if (instanceOfSubject(subject) !== report.instance)
      this.#bad.drop(subject, "it is about another instance than its subject");
    else this.#takeNews(report, subject, formatOf(content) ?? known.newest);
  }

  #takeNews(report: AppReport, subject: string, format: number): void {
    const { watch } = this.#parts;
    const { instance } = report;
    const known = this.#heard.get(instance);
    if (known?.isLate(report, watch.isSilent(instance))) {
      if (known.hasRival(report)) this.#bad.tell(subject, rivalProblem);
      return;
    }
    const problem = known === undefined ? this.#parts.join(report) : undefined;
    if (problem !== undefined) {
      this.#bad.drop(subject, problem);
      return;
    }
    const heard = known ?? this.#begin(report, format);
    this.#hear(heard, report);
    heard.take(report, (text) => this.#intern(text));
    this.#parts.onNews(heard, report);
    this.#attend(heard);
  }

  #begin(report: AppReport, format: number): HeardApps {
    const hearing = this.#parts.watch.hear(report.instance);
    const nowMs = this.#place.nowMs();
    const how = { nowMs, intervalMs: intervalDefaultMs, format, askPauseMs: askEveryMs };
    const heard = new HeardApps(report, hearing, how);
    this.#heard.set(report.instance, heard);
    return heard;
  }

  #hear(heard: HeardApps, { seq, atMs }: AppReport): void {
    const { watch } = this.#parts;
    const nowMs = this.#place.nowMs();
    if (watch.isSilent(heard.instance)) heard.heardSinceMs = nowMs;
    watch.hearAgain(heard.hearing);
    heard.seq = seq;
    heard.clockOffsetMs = nowMs - atMs;
  }

  /** Asks for what is missing or wanted, at most once a second. */
  #attend(heard: HeardApps): void {
    const { patienceMs, wants, ask } = this.#parts;
    const more = wants(heard);
    if (heard.isWhole && more === undefined) {
      heard.wantedSinceMs = null;
      heard.askPauseMs = askEveryMs;
      return;
    }
    const now = this.#place.clock.monotonicMs();
    heard.wantedSinceMs ??= now;
    if (now - heard.wantedSinceMs < patienceMs || now - heard.askedAtMs < heard.askPauseMs) return;
    if (!this.#isAffordable(now, heard.last.count)) return;
    heard.askedAtMs = now;
    heard.askPauseMs = Math.min(askPauseMaxMs, 2 * heard.askPauseMs);
    if (more?.intervalMs !== undefined) heard.intervalMs = more.intervalMs;
    if (more?.reportFormat !== undefined) heard.format = more.reportFormat;
    ask(heard.instance, more ?? {});
  }

  #isAffordable(now: number, states: number): boolean {
    if (now - this.#budget.sinceMs >= 1_000) this.#budget = { sinceMs: now, states: statesPerSecondMax };
    if (this.#budget.states <= 0) return false;
    this.#budget.states -= states + 1;
    return true;
  }

  #intern(text: string): string {
    const known = this.#interned.get(text);
    if (known !== undefined) return known;
    if (this.#interned.size >= internedMax) this.#interned.clear();
    this.#interned.set(text, text);
    return text;
  }
}
