import type { AppContent, DesiredApp, InitStatus } from "../src/contracts/app.js";
import type { ChangeCause } from "../src/contracts/app-report.js";
import { type FailureCause, failureMeanings, isInSync } from "../src/contracts/app-status.js";
import { refusal } from "../src/contracts/errors.js";
import type { Accepted } from "./accepted.js";
import { appBackoff, backoffMs } from "./backoff.js";

/** What the app machine knows, hears and asks for, and what follows from it; the machine itself is in app.ts. */

/** The calls of an engine. */
export const verbs = ["install", "initialize", "enable", "disable", "uninstall"] as const;
export type Verb = (typeof verbs)[number];

/** The longest that each call may take. */
export type CallLimits = Readonly<Record<Verb, number>>;
export const defaultLimitsMs: CallLimits = {
  install: 120_000,
  initialize: 30_000,
  enable: 30_000,
  disable: 30_000,
  uninstall: 60_000,
};

/** Whether what is asked was found when the instance started, or heard while it ran. */
export type HowHeard = "found" | "told";

/** Why an app is not as asked. */
export interface AppFailure {
  readonly cause: FailureCause;
  readonly code: string;
  readonly message: string;
  /** Trying the same again is of no use. */
  readonly permanent: boolean;
}

export interface Wanted {
  readonly generation: number;
  readonly desiredStatus: DesiredApp["desiredStatus"];
  readonly content: AppContent;
}

/** A call of the engine. */
export interface Call {
  readonly verb: Verb;
  readonly content: AppContent;
  /** Of what was asked when it was made: a failure at what is not asked any more does not count. */
  readonly generation: number;
}

export interface AppContext extends Accepted {
  readonly app: string;
  readonly limitsMs: CallLimits;
  readonly wanted: Wanted | null;
  readonly heard: HowHeard;
  /** The ledger that is there now does not know it: it is kept as it is. */
  readonly unlisted: boolean;
  /** Its tombstone was cleared while nobody here listened: it is uninstalled, and then forgotten. */
  readonly dropped: boolean;
  /** The instance ends: nothing is enabled any more. */
  readonly halting: boolean;
  /** What is installed for certain, what of that is initialized, and what of that runs. */
  readonly installed: AppContent | null;
  readonly ready: AppContent | null;
  readonly runs: { readonly content: AppContent; readonly heard: HowHeard } | null;
  /** Something of it may run, or be here. Written down before it can be so. */
  readonly mayRun: boolean;
  readonly mayBeHere: boolean;
  /** A call that was given up has succeeded after all, since the one under way began. */
  readonly doubted: boolean;
  /** The call under way; counted, so that what becomes of an earlier one is told apart. */
  readonly call: Call | null;
  readonly number: number;
  readonly failure: (AppFailure & { readonly verb: Verb | null }) | null;
  /** It is of this turn: to be cleaned up after. */
  readonly failedNow: boolean;
  /** Tries that failed since it was asked for, or since it last worked for long. */
  readonly attempts: number;
  /** What the next wait is multiplied by, drawn by the host. */
  readonly unit: number;
  /** What led to what is done now. */
  readonly cause: ChangeCause;
}

export type AppEvent =
  /** What is asked of it, as it was written at that revision. */
  | {
      readonly type: "desired";
      readonly state: DesiredApp;
      readonly revision: number;
      readonly heard: HowHeard;
    }
  /** The list of apps, as it was written at that revision, does not have it. */
  | { readonly type: "missing"; readonly ledgerId: string; readonly revision: number }
  /** The instance has started, and knows what is asked as well as it can. */
  | { readonly type: "resume"; readonly unit: number }
  /** It may use the engine now. */
  | { readonly type: "turn" }
  | { readonly type: "done"; readonly number: number }
  | {
      readonly type: "failed";
      readonly number: number;
      readonly failure: AppFailure;
      readonly unit: number;
    }
  /** It ended by itself. */
  | { readonly type: "ended"; readonly failure: AppFailure; readonly unit: number }
  /** Somebody asks to try again. */
  | { readonly type: "retry" }
  | { readonly type: "halt" };

export type AppCommand =
  /** Asks for a turn; `repeat`: after a failure, at whatever rate the host allows. */
  | { readonly type: "askTurn"; readonly repeat: boolean }
  /** Gives the turn back, or needs none any more. */
  | { readonly type: "endTurn" }
  | { readonly type: "call"; readonly number: number; readonly verb: Verb; readonly content: AppContent }
  /** The call is to end soon; what becomes of it is told all the same. */
  | { readonly type: "cancel"; readonly number: number };

export function freshApp(app: string, limitsMs: CallLimits): AppContext {
  return {
    app,
    limitsMs,
    accepted: null,
    retired: [],
    wanted: null,
    heard: "found",
    unlisted: false,
    dropped: false,
    halting: false,
    installed: null,
    ready: null,
    runs: null,
    mayRun: false,
    mayBeHere: false,
    doubted: false,
    call: null,
    number: 0,
    failure: null,
    failedNow: false,
    attempts: 0,
    unit: 0,
    cause: "started",
  };
}

function hasFiles(installed: AppContent | null, wanted: AppContent): boolean {
  return installed !== null && installed.version === wanted.version && installed.source === wanted.source;
}

function isContent(one: AppContent | undefined | null, wanted: AppContent): boolean {
  return (
    one !== null &&
    one !== undefined &&
    hasFiles(one, wanted) &&
    JSON.stringify(one.settings) === JSON.stringify(wanted.settings)
  );
}

/** The call that is needed next, if any; the whole of what is done with an app follows from it. */
export function nextVerb(context: AppContext): Verb | null {
  const { wanted, installed, ready, runs, mayRun, mayBeHere, halting } = context;
  if (wanted === null) return null;
  if (halting || wanted.desiredStatus === "disabled") return mayRun ? "disable" : null;
  if (wanted.desiredStatus === "uninstalled") {
    if (mayRun) return "disable";
    return mayBeHere ? "uninstall" : null;
  }
  if (isContent(runs?.content, wanted.content)) return null;
  // Whatever else it is that may run has to end first.
  if (mayRun && (runs !== null || !isContent(ready, wanted.content))) return "disable";
  if (!hasFiles(installed, wanted.content)) return "install";
  return isContent(ready, wanted.content) ? "enable" : "initialize";
}

/** It leads to an app that runs; the others lead away from it. */
export function isStarting(verb: Verb): boolean {
  return verb === "install" || verb === "initialize" || verb === "enable";
}

/** The call as it is made. */
export function callOf(context: AppContext, verb: Verb): Call {
  const { wanted, runs, ready, installed } = context;
  if (wanted === null) throw new Error("the engine is called only for what is asked");
  const { generation, content } = wanted;
  const here = runs?.content ?? ready ?? installed ?? content;
  return { verb, generation, content: isStarting(verb) ? content : here };
}

/** What is known once a call is begun: it may leave something behind however it ends. */
export function begun({ verb }: Call): Partial<AppContext> {
  if (verb === "install") return { installed: null, ready: null, mayBeHere: true };
  return verb === "initialize" || verb === "enable" ? { mayRun: true } : {};
}

/** What is known once a call has succeeded; nothing if what another one did may have come in between. */
export function achieved(
  { doubted, failure, heard }: AppContext,
  { verb, content }: Call,
): Partial<AppContext> {
  if (doubted) return {};
  switch (verb) {
    case "install":
      return { installed: content };
    case "initialize":
      return { ready: content };
    case "enable":
      return { runs: { content, heard }, failure: null };
    case "disable":
      return {
        ready: null,
        runs: null,
        mayRun: false,
        failure: failure?.verb === "disable" ? null : failure,
      };
    case "uninstall":
      return { installed: null, mayBeHere: false, failure: null };
  }
}

/** Whether it is what is asked already, by the same ledger under the same generation. */
export function isRepeat(
  { accepted, wanted, unlisted, dropped }: AppContext,
  { ledgerId, generation }: Pick<DesiredApp, "ledgerId" | "generation">,
): boolean {
  return accepted?.ledgerId === ledgerId && wanted?.generation === generation && !unlisted && !dropped;
}

/** What the call works towards is not asked any more, so it may as well end. */
export function isOvertaken(
  call: Call,
  { desiredStatus, content }: Pick<DesiredApp, "desiredStatus" | "content">,
) {
  return isStarting(call.verb) && (desiredStatus !== "enabled" || !isContent(call.content, content));
}

/** The failure of a call that took too long. */
export function timeoutOf({ app, call, limitsMs }: AppContext): AppFailure {
  const verb = call?.verb ?? "enable";
  const { code, message } = refusal("APP_TIMEOUT", { app, verb, limitMs: limitsMs[verb] });
  return { cause: "error", code, message, permanent: false };
}

/** The failure of a call in the middle of which the whole instance ended. */
export function deathOf({ app, call }: AppContext): AppFailure {
  const problem = `the whole process ended in the middle of ${call?.verb ?? "a call"}`;
  const { code, message } = refusal("APP_ENDED", { app, problem });
  return { cause: "error", code, message, permanent: false };
}

/** How long it waits before it tries again. */
export function retryInMs({ attempts, unit }: AppContext): number {
  return backoffMs(appBackoff, attempts, unit);
}

/**
 * What the app has come to here. While it is tried again it is what the last try came to: a try that fails like the one before it is no
 * change.
 */
export function initStatusOf(context: AppContext): InitStatus {
  const { wanted, heard, installed, ready, runs, mayRun, failure } = context;
  if (wanted === null) return "unknown";
  // Nobody knows whether it still runs.
  if (failure?.verb === "disable") return "unknown";
  if (failure !== null) return failureMeanings[failure.cause].initStatus;
  if (runs !== null) return runs.heard === "told" ? "manually_enabled" : "auto_enabled";
  if (wanted.desiredStatus === "enabled") {
    if (ready !== null) return "initialized";
    return installed === null ? "unknown" : "constructed";
  }
  if (mayRun) return "unknown";
  return wanted.desiredStatus === "disabled" && heard === "told" ? "manually_disabled" : "disabled";
}

/** Whether it is here what is asked, as far as this instance knows. */
export function isAsAsked(context: AppContext): boolean {
  const { wanted, mayBeHere } = context;
  if (wanted === null) return true;
  return isInSync(wanted, {
    generation: wanted.generation,
    initStatus: initStatusOf(context),
    installed: mayBeHere,
  });
}
