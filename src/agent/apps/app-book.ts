import { type AppContext, initStatusOf, isAsAsked, retryInMs } from "../../../machines/app-facts.js";
import type { InitStatus } from "../../contracts/app.js";
import { appChangesKeptMax } from "../../contracts/app-limits.js";
import {
  type AppChange,
  type AppState,
  appStateText,
  type ShortReason,
  shortReasonMax,
} from "../../contracts/app-report.js";
import { SetDigest } from "../../runtime/set-digest.js";
import type { AppMarks } from "./app-journal.js";
import type { AppSnapshot } from "./app-runner.js";

interface Entry {
  readonly state: AppState;
  readonly text: string;
  /** The status that is in the log of changes, which has none that an app only passes through. */
  readonly logged: InitStatus;
  /** Where its machine stands. */
  readonly value: AppSnapshot["value"];
  readonly isAtRest: boolean;
}

/** What can be said of the apps of an instance: their states with the digest of all, and what has changed. Derived from their machines' states. */
export class AppBook {
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #digest = new SetDigest();
  readonly #changes: AppChange[] = [];
  #number = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get digest(): string {
    return this.#digest.value;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Of the newest change. */
  get number(): number {
    return this.#number;
  }

  state(app: string): AppState | undefined {
    return this.#entries.get(app)?.state;
  }

  states(): AppState[] {
    return [...this.#entries.values()].map(({ state }) => state);
  }

  /** Whether an app is not merely passing through what it says; one that is not here is so too. */
  isAtRest(app: string): boolean {
    return this.#entries.get(app)?.isAtRest ?? true;
  }

  /** The changes after that one that are still kept, the oldest first. */
  changesAfter(number: number): readonly AppChange[] {
    return this.#changes.filter((change) => change.number > number);
  }

  marksOf(app: string): AppMarks {
    const entry = this.#entries.get(app);
    return { status: entry?.logged ?? "unknown", mismatchSinceMs: entry?.state.mismatchSinceMs ?? null };
  }

  /** An app of which a record was found. */
  remember(app: string, marks: AppMarks, snapshot: AppSnapshot, ledgerId: string | null): void {
    const state = this.#stateOf(snapshot, ledgerId, undefined, marks.mismatchSinceMs);
    const { value } = snapshot;
    this.#put(app, { state, logged: marks.status, value, isAtRest: isAtRest(snapshot) });
  }

  /** Takes in how an app stands now. @returns whether that is anything new */
  see(app: string, snapshot: AppSnapshot, ledgerId: string | null): boolean {
    const before = this.#entries.get(app);
    const state = this.#stateOf(snapshot, ledgerId, before, before?.state.mismatchSinceMs ?? null);
    const from = before?.logged ?? "unknown";
    const rests = isAtRest(snapshot);
    const isChange = rests && state.initStatus !== from;
    if (isChange) this.#note(state, from, snapshot.context.cause);
    const logged = isChange ? state.initStatus : from;
    return this.#put(app, { state, logged, value: snapshot.value, isAtRest: rests });
  }

  forget(app: string): void {
    const entry = this.#entries.get(app);
    if (entry !== undefined) this.#digest.remove(entry.text);
    this.#entries.delete(app);
  }

  #put(app: string, entry: Omit<Entry, "text">): boolean {
    const text = appStateText(entry.state);
    const before = this.#entries.get(app);
    this.#entries.set(app, { ...entry, text });
    if (before?.text === text) return false;
    if (before !== undefined) this.#digest.remove(before.text);
    this.#digest.add(text);
    return true;
  }

  #note(state: AppState, from: InitStatus, cause: AppChange["cause"]): void {
    const { app, generation, initStatus: to, reason, sinceMs: atMs } = state;
    this.#changes.push({ number: ++this.#number, app, generation, from, to, cause, reason, atMs });
    if (this.#changes.length > appChangesKeptMax) this.#changes.shift();
  }

  #stateOf(
    { value, context }: AppSnapshot,
    ledgerId: string | null,
    before: Entry | undefined,
    mismatchSinceMs: number | null,
  ): AppState {
    const nowMs = Math.floor(this.#nowMs());
    const initStatus = initStatusOf(context);
    const waited = before?.value === "backoff" ? before.state.nextAttemptAtMs : null;
    return {
      app: context.app,
      generation: generationOf(context, ledgerId),
      initStatus,
      installed: context.mayBeHere,
      version: context.installed?.version ?? null,
      reason: reasonOf(context),
      sinceMs: before?.state.initStatus === initStatus ? before.state.sinceMs : nowMs,
      mismatchSinceMs: isAsAsked(context) ? null : (mismatchSinceMs ?? nowMs),
      attempts: context.attempts,
      nextAttemptAtMs: value === "backoff" ? (waited ?? nowMs + retryInMs(context)) : null,
      stopped: value === "stopped",
    };
  }
}

/** Not merely passing through. */
function isAtRest({ value, context }: AppSnapshot): boolean {
  if (context.wanted === null) return false;
  return value === "resting" || value === "backoff" || value === "stopped" || value === "over";
}

/** 0 for what the ledger that is there now has not asked. */
function generationOf({ wanted, accepted, unlisted }: AppContext, ledgerId: string | null): number {
  return unlisted || accepted?.ledgerId !== ledgerId ? 0 : (wanted?.generation ?? 0);
}

function reasonOf({ failure }: AppContext): ShortReason | null {
  return failure === null ? null : { code: failure.code, message: failure.message.slice(0, shortReasonMax) };
}
