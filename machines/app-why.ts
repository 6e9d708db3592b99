import type { DesiredStatus, InitStatus } from "../src/contracts/app.js";
import type { AppRow } from "../src/contracts/app-api.js";
import type { AppState } from "../src/contracts/app-report.js";
import { isEnabled, troubleshootingOf } from "../src/contracts/app-status.js";
import { ageText, durationText } from "../src/contracts/duration.js";
import type { Why } from "../src/contracts/views.js";
import {
  type AppInstance,
  type AppStanding,
  type AskedApp,
  isMismatch,
  mismatchSinceMs,
  standingOf,
} from "./app-standing.js";

/** Why an app is on an instance what it is: the same words for the command line, the API and alerts. */

/** A stable word for programs, one for each standing. */
export const whyRules = {
  inSync: "in-sync",
  silent: "silent",
  unheard: "not-heard-of",
  untold: "not-told",
  unobserved: "not-taken-up",
  working: "working",
  retrying: "retrying",
  stopped: "stopped",
} as const satisfies Record<AppStanding, string>;

export function whyOfPair(asked: AskedApp, one: AppInstance, nowMs: number): Why {
  const standing = standingOf(asked, one);
  const state = one.states.get(asked.record.app);
  return {
    rule: whyRules[standing],
    sentence: sentences[standing]({ asked, one, state, nowMs }),
    blocking: isMismatch(standing) ? [one.instance] : [],
    nextAtMs: standing === "retrying" ? nextAttemptAtMs(one, state) : null,
  };
}

interface Pair {
  readonly asked: AskedApp;
  readonly one: AppInstance;
  readonly state: AppState | undefined;
  readonly nowMs: number;
}

const sentences: Readonly<Record<AppStanding, (pair: Pair) => string>> = {
  inSync: inSyncSentence,
  silent: ({ asked, one, state }) => {
    const then =
      state === undefined ? `had nothing of ${asked.record.app}` : `had it ${statusText(state.initStatus)}`;
    return `${silentText(one)}; it ${then} then. It catches up by itself when it is back.`;
  },
  unheard: ({ one: { instance } }) =>
    `${instance} has not reported since this coordinator listens, so what it has is not known. It catches up by itself when it is back; one that left for good is taken out by rollcall apps forget ${instance}.`,
  untold: ({ asked: { record }, one: { instance }, state }) =>
    `Nobody was told of ${record.app} since the ledger was restored, so ${instance} keeps ${hereText(state)}. Tell them by rollcall apps reconcile --app ${record.app}.`,
  unobserved: ({ asked, one, state, nowMs }) => {
    const { record, told } = asked;
    const since = told === null ? "" : `, told ${ageText(Math.max(0, nowMs - told.atMs))}`;
    const heard =
      one.heardGeneration === 0
        ? "it has heard nothing of this ledger"
        : `it has heard ${one.heardGeneration} of ${Math.max(told?.appsGeneration ?? 0, one.heardGeneration)} changes`;
    return `${one.instance} has not taken up yet that ${record.app} is ${wanted[record.desiredStatus]} (generation ${record.generation}${since}): ${heard}, and has ${hereText(state)}. It is asked again with its next report.`;
  },
  working: (pair) => {
    const { attempts = 0, initStatus = "unknown" } = pair.state ?? {};
    const failed = attempts === 0 ? "" : ` ${failedText(pair)} It is being tried again.`;
    const { record } = pair.asked;
    return `${pair.one.instance} is at it: ${record.app} is ${wanted[record.desiredStatus]}, and is ${statusText(initStatus)} so far, for ${forText(pair)}.${failed}`;
  },
  retrying: (pair) => `${failedText(pair)} ${triesText(pair)}${linkText(pair.state)}`,
  stopped: (pair) => {
    const { app } = pair.asked.record;
    return `${failedText(pair)} It is tried again only when ${app} is changed, or by rollcall apps reconcile --app ${app} --instance ${pair.one.instance}.${linkText(pair.state)}`;
  },
};

const wanted: Readonly<Record<DesiredStatus, string>> = {
  enabled: "to be enabled",
  disabled: "to be disabled",
  uninstalled: "to be uninstalled",
};

function inSyncSentence(pair: Pair): string {
  const { asked, one, state } = pair;
  const { app, desiredStatus } = asked.record;
  if (desiredStatus === "uninstalled") return `Nothing of ${app} is left on ${one.instance}, as asked.`;
  const version = state?.version ?? null;
  const how =
    desiredStatus === "enabled" ? `runs${version === null ? "" : ` in version ${version}`}` : "is disabled";
  return `${app} ${how} on ${one.instance}, as asked, for ${forText(pair)}.`;
}

/** `manually_enabled` as people say it. */
function statusText(status: InitStatus): string {
  return status.replaceAll("_", " ");
}

export function silentText({ instance, reportAgeMs }: AppInstance): string {
  const heard = reportAgeMs === null ? "" : `, heard last ${ageText(reportAgeMs)}`;
  return `${instance} is silent${heard}`;
}

/** How it is there. */
export function hereText(state: AppState | undefined): string {
  if (state === undefined) return "nothing of it";
  const runs = isEnabled(state.initStatus) ? `, which runs${ofVersion(state)}` : "";
  return `it ${statusText(state.initStatus)}${runs}`;
}

function ofVersion({ version }: AppState): string {
  return version === null ? "" : ` in version ${version}`;
}

function forText({ one, state, nowMs }: Pair): string {
  return durationText(state === undefined ? 0 : nowMs - (state.sinceMs + one.clockOffsetMs));
}

/** What it has not come to, and why. */
function failedText({ asked, one, state }: Pair): string {
  const { app, desiredStatus } = asked.record;
  const lead =
    desiredStatus !== "enabled" && state !== undefined && isEnabled(state.initStatus)
      ? `${app} still runs on ${one.instance} though it is ${wanted[desiredStatus]}`
      : `${one.instance} has not ${desiredStatus} ${app}`;
  const message = messageText(state);
  return message === "" ? `${lead}.` : `${lead}: ${message}`;
}

/** What went wrong with an app that is not measured by what is asked; nothing if nothing did. */
export function failureText(
  { one, state }: { readonly one: AppInstance; readonly state: AppState },
  nowMs: number,
): string {
  const message = messageText(state);
  if (message === "") return "";
  const tries = state.nextAttemptAtMs === null ? "" : ` ${triesText({ one, state, nowMs })}`;
  return ` It has failed there: ${message}${tries}`;
}

function messageText(state: AppState | undefined): string {
  const message = state?.reason?.message.trim() ?? "";
  return message === "" || /[.!?…]$/.test(message) ? message : `${message}…`;
}

/** How often it was tried, and when it is tried next. */
function triesText({ one, state, nowMs }: Omit<Pair, "asked">): string {
  const attempts = state?.attempts ?? 0;
  const nextMs = nextAttemptAtMs(one, state);
  const next =
    nextMs === null || nextMs <= nowMs
      ? "The next try is due."
      : `The next is in ${durationText(nextMs - nowMs)}.`;
  return `${attempts === 1 ? "1 try has failed." : `${attempts} tries have failed.`} ${next}`;
}

function linkText(state: AppState | undefined): string {
  return state?.reason ? ` See ${troubleshootingOf(state.reason.code)}.` : "";
}

/** In ledger time. */
export function nextAttemptAtMs({ clockOffsetMs }: AppInstance, state: AppState | undefined): number | null {
  const nextMs = state?.nextAttemptAtMs ?? null;
  return nextMs === null ? null : nextMs + clockOffsetMs;
}

/** All that is shown of a pair. */
export function appRowOf(asked: AskedApp, one: AppInstance, nowMs: number): AppRow {
  const { app, desiredStatus, generation, legacyStatus } = asked.record;
  const state = one.states.get(app);
  const standing = standingOf(asked, one);
  const since = isMismatch(standing) ? mismatchSinceMs(asked, one, standing) : null;
  return {
    app,
    instanceId: one.instance,
    desiredStatus,
    initStatus: state?.initStatus ?? legacyStatus ?? "unknown",
    generation,
    observedGeneration: state?.generation ?? null,
    inSync: standing === "inSync" ? true : isMismatch(standing) ? false : null,
    reason: state?.reason ?? null,
    sinceMs: state === undefined ? null : Math.min(nowMs, state.sinceMs + one.clockOffsetMs),
    mismatchSinceMs: since === null ? null : Math.min(nowMs, since),
    attempts: state?.attempts ?? 0,
    nextAttemptAtMs: nextAttemptAtMs(one, state),
    reportAgeMs: one.reportAgeMs,
    alerted: Object.hasOwn(one.alertedAtMs, app),
    rule: whyRules[standing],
    why: whyOfPair(asked, one, nowMs).sentence,
  };
}
