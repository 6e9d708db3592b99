import type { AppRecord } from "../src/contracts/app.js";
import type { AppState } from "../src/contracts/app-report.js";
import { isInSync } from "../src/contracts/app-status.js";

/*
 * How one app stands on one instance, as the control plane knows it: what is asked against what the instance said last. Pure, and
 * without an object for a pair: 500 apps on 1,000 instances are half a million.
 */

/** An app of the fleet. */
export interface AskedApp {
  readonly record: AppRecord;
  /**
   * That instances were told of it under this ledger: which change of the list that was, and when, in ledger time. `null`: they were
   * not, as it is after a restore.
   */
  readonly told: { readonly appsGeneration: number; readonly atMs: number } | null;
}

/** An instance with apps. */
export interface AppInstance {
  readonly instance: string;
  /** `unheard`: all that it has is not known since this coordinator listens; `silent`: it was, and reports are missing now. */
  readonly hearing: "heard" | "silent" | "unheard";
  /** `null` if none came since this coordinator listens. */
  readonly reportAgeMs: number | null;
  /** Since when it is known, and since when it is heard without a gap; in ledger time. */
  readonly joinedAtMs: number;
  readonly heardSinceMs: number;
  /** Of the list of apps of *this* ledger: everything up to it has been heard; 0: nothing. */
  readonly heardGeneration: number;
  /** What is added to a time of its clock to have ledger time. */
  readonly clockOffsetMs: number;
  /** By app; the newest that it said. */
  readonly states: ReadonlyMap<string, AppState>;
  /** By app; the alerts that were raised and not cleared. */
  readonly alertedAtMs: Readonly<Record<string, number>>;
}

/**
 * `untold` it was told to nobody under this ledger; `unobserved` told, and the instance does not act on it yet; `working` it is at it, or
 * about to be; `retrying` it has failed and waits for the next try; `stopped` it has failed and is not tried again by itself.
 */
export type Mismatch = "untold" | "unobserved" | "working" | "retrying" | "stopped";
export type AppStanding = "inSync" | "silent" | "unheard" | Mismatch;

export function isMismatch(standing: AppStanding): standing is Mismatch {
  return standing !== "inSync" && standing !== "silent" && standing !== "unheard";
}

/** @param state what the instance says of the app, if that was looked up already */
export function standingOf(
  { record, told }: AskedApp,
  one: AppInstance,
  state: AppState | undefined = one.states.get(record.app),
): AppStanding {
  if (one.hearing !== "heard") return one.hearing;
  if (state === undefined && isInSync(record, state)) return "inSync";
  if (told === null) return "untold";
  if (state === undefined || !hasObserved(record, one, state)) return "unobserved";
  if (isInSync(record, state)) return "inSync";
  if (state.nextAttemptAtMs !== null) return "retrying";
  return state.stopped ? "stopped" : "working";
}

/** Generations compare within one ledger. */
function hasObserved({ generation }: AppRecord, { heardGeneration }: AppInstance, state: AppState): boolean {
  return heardGeneration > 0 && state.generation === generation;
}

/** Since when they differ, in ledger time: as the instance says, or since it could have heard. `null` of what was told to nobody. */
export function mismatchSinceMs(
  { record, told }: AskedApp,
  one: AppInstance,
  standing: Mismatch,
): number | null {
  if (told === null) return null;
  const saidMs = one.states.get(record.app)?.mismatchSinceMs ?? null;
  const couldHearMs = Math.max(told.atMs, one.joinedAtMs);
  if (saidMs === null) return couldHearMs;
  const sinceMs = saidMs + one.clockOffsetMs;
  return standing === "unobserved" ? Math.min(sinceMs, couldHearMs) : sinceMs;
}

/**
 * From when on it has lasted long enough for an alert, in ledger time; `null`: never. Who was away is given the time anew to hear what it
 * has missed, and what was told to nobody is no instance's fault.
 */
export function alertDueAtMs(
  asked: AskedApp,
  one: AppInstance,
  standing: Mismatch,
  alertAfterMs: number,
): number | null {
  const sinceMs = mismatchSinceMs(asked, one, standing);
  if (sinceMs === null) return null;
  return (standing === "unobserved" ? Math.max(sinceMs, one.heardSinceMs) : sinceMs) + alertAfterMs;
}

/**
 * Whether an instance has confirmed a tombstone: it has heard of it, and nothing of the app is there. That holds from then on, heard or
 * not. Of one that was told to nobody it is enough that nothing is there.
 */
export function hasConfirmed({ record, told }: AskedApp, one: AppInstance): boolean {
  if (record.desiredStatus !== "uninstalled" || one.hearing === "unheard") return false;
  const state = one.states.get(record.app);
  if (state === undefined) return told === null || one.heardGeneration >= told.appsGeneration;
  return told !== null && hasObserved(record, one, state) && !state.installed;
}
