import type { AppInstance } from "../../../machines/app-standing.js";
import type { AppInstanceRecord } from "../../contracts/app.js";
import { appsMax } from "../../contracts/app-limits.js";
import { type AppReport, type AppState, appStateText } from "../../contracts/app-report.js";
import { SetDigest } from "../../runtime/set-digest.js";
import type { Hearing } from "../silence-watch.js";

/** What an instance has said in its last report, but for its states. */
export type LastAppReport = Pick<
  AppReport,
  | "instance"
  | "incarnation"
  | "agentVersion"
  | "desiredFormat"
  | "ledgerId"
  | "generation"
  | "digest"
  | "count"
  | "changes"
>;

/** Strings that many instances say: kept once. */
export type Intern = (text: string) => string;

/** Reports of a process that has ended, which may still be on their way. */
const lateMax = 4;

/** What one instance has said of its apps since this coordinator listens. */
export class HeardApps {
  readonly instance: string;
  readonly hearing: Hearing;
  readonly states = new Map<string, AppState>();
  /** In ledger time, without a gap since then. */
  heardSinceMs: number;
  last: LastAppReport;
  /** The incarnation before it: its reports are late ones. So many came since. */
  formerly: string | null = null;
  #late = 0;
  seq = -1;
  clockOffsetMs = 0;
  /** Reports in a row that were behind what was asked. */
  behind = 0;
  /** All states were known at some time; from then on what is missing is asked for, and comes within a moment. */
  wasWhole = false;
  isWhole = false;
  /** By the monotonic clock; since when something of it is wanted, and when it was last asked. */
  wantedSinceMs: number | null = null;
  askedAtMs = Number.NEGATIVE_INFINITY;
  askPauseMs: number;
  /** As it was told, as far as it was. */
  intervalMs: number;
  format: number;
  #own = new SetDigest();

  constructor(
    report: AppReport,
    hearing: Hearing,
    how: {
      readonly nowMs: number;
      readonly intervalMs: number;
      readonly format: number;
      readonly askPauseMs: number;
    },
  ) {
    this.instance = report.instance;
    this.hearing = hearing;
    this.last = lastOf(report);
    this.heardSinceMs = how.nowMs;
    this.intervalMs = how.intervalMs;
    this.format = how.format;
    this.askPauseMs = how.askPauseMs;
  }

  /** It came behind newer ones, or for the second time, or from a process that another one has replaced. */
  isLate({ incarnation, seq }: Pick<AppReport, "incarnation" | "seq">, isSilent: boolean): boolean {
    if (incarnation === this.last.incarnation) return seq <= this.seq;
    return incarnation === this.formerly && !isSilent;
  }

  /** Whether so many late reports come from the process before that it has not ended: two live under one name. */
  hasRival({ incarnation }: Pick<AppReport, "incarnation">): boolean {
    return incarnation === this.formerly && ++this.#late > lateMax;
  }

  /** Takes in what a report says that is not late. */
  take(report: AppReport, intern: Intern): void {
    if (report.incarnation !== this.last.incarnation) {
      this.formerly = this.last.incarnation;
      this.behind = 0;
      this.#late = 0;
    }
    this.last = lastOf(report);
    if (report.apps !== undefined) this.#takeStates(report.apps, intern);
    this.isWhole = this.states.size === report.count && this.#own.value === report.digest;
    this.wasWhole ||= this.isWhole;
  }

  view(
    record: AppInstanceRecord,
    now: { isSilent: boolean; reportAgeMs: number | null; ledgerId: string },
  ): AppInstance {
    const { last, clockOffsetMs, heardSinceMs, states, instance } = this;
    const { joinedAtMs, alertedAtMs } = record;
    return {
      instance,
      hearing: now.isSilent ? "silent" : this.wasWhole ? "heard" : "unheard",
      reportAgeMs: now.reportAgeMs,
      joinedAtMs,
      heardSinceMs,
      heardGeneration: last.ledgerId === now.ledgerId ? last.generation : 0,
      clockOffsetMs,
      states,
      alertedAtMs,
    };
  }

  #takeStates({ whole, states, gone }: NonNullable<AppReport["apps"]>, intern: Intern): void {
    if (whole) {
      this.states.clear();
      this.#own = new SetDigest();
    }
    for (const state of states) this.#put(state, intern);
    for (const app of gone) this.#remove(app);
  }

  #put(state: AppState, intern: Intern): void {
    this.#remove(state.app);
    if (this.states.size >= appsMax) return;
    this.#own.add(appStateText(state));
    const app = intern(state.app);
    state.app = app;
    state.initStatus = intern(state.initStatus) as AppState["initStatus"];
    if (state.version !== null) state.version = intern(state.version);
    this.states.set(app, state);
  }

  #remove(app: string): void {
    const before = this.states.get(app);
    if (before === undefined) return;
    this.#own.remove(appStateText(before));
    this.states.delete(app);
  }
}

function lastOf(report: AppReport): LastAppReport {
  const { instance, incarnation, agentVersion, desiredFormat, ledgerId, generation, digest, count, changes } =
    report;
  return { instance, incarnation, agentVersion, desiredFormat, ledgerId, generation, digest, count, changes };
}

/** Of a report that says nothing new. */
const fieldsOfShortReport = 12;

/**
 * Whether a report says what the one before it has said, but for its number and time: so does nearly every one of a calm fleet, and the
 * schema would take it.
 */
export function isSameAgain(content: unknown, last: LastAppReport): content is AppReport {
  const said = content as Partial<Record<keyof AppReport, unknown>>;
  return (
    said.digest === last.digest &&
    said.generation === last.generation &&
    said.count === last.count &&
    said.incarnation === last.incarnation &&
    isSameChanges(said.changes, last.changes) &&
    said.instance === last.instance &&
    said.ledgerId === last.ledgerId &&
    said.agentVersion === last.agentVersion &&
    said.desiredFormat === last.desiredFormat &&
    said.format === 1 &&
    Number.isSafeInteger(said.seq) &&
    (said.seq as number) >= 0 &&
    Number.isSafeInteger(said.atMs) &&
    Object.keys(said).length === fieldsOfShortReport
  );
}

function isSameChanges(changes: unknown, last: LastAppReport["changes"]): boolean {
  if (typeof changes !== "object" || changes === null) return false;
  const { log, number } = changes as Partial<LastAppReport["changes"]>;
  return number === last.number && log === last.log && Object.keys(changes).length === 2;
}
