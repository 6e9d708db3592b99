import type { RollcallError } from "../src/base/errors.js";
import { byName } from "../src/base/name-order.js";
import type { AppContent, AppRecord } from "../src/contracts/app.js";
import type { AppRow } from "../src/contracts/app-api.js";
import type { AppState } from "../src/contracts/app-report.js";
import { appUnaskedCode } from "../src/contracts/app-status.js";
import { refusal } from "../src/contracts/errors.js";
import type { Why } from "../src/contracts/views.js";
import type { AppInstance } from "./app-standing.js";
import { failureText, hereText, nextAttemptAtMs, silentText, whyRules } from "./app-why.js";

/*
 * Apps that instances have and nobody asked for: no record of this ledger knows them. After a restore those that were added later run
 * on; of one whose tombstone was cleared while its instance was away, that instance removes what is left. The control plane removes
 * none by itself: it shows and alerts them, and people say whether they stay. Pure.
 */

/** What is known of the ledger: which apps it has, and since when it is there, in ledger time. */
export interface AskedApps {
  readonly records: Pick<ReadonlyMap<string, AppRecord>, "has">;
  readonly sinceMs: number;
}

/** An app that nobody asked for, on one instance. */
export interface UnaskedApp {
  readonly one: AppInstance;
  readonly state: AppState;
}

/** `kept` this ledger has said nothing of it, and it stays as it is; `removing` the ledger had it uninstalled, which this instance does now. */
export type UnaskedStanding = "kept" | "removing";

/** A stable word for programs, beside those of `whyRules`. */
export const unaskedRules = {
  kept: "not-asked-for",
  removing: "being-removed",
} as const satisfies Record<UnaskedStanding, string>;

const unaskedMessage =
  "Nobody asked for it: keep it by rollcall apps adopt, or remove it by rollcall apps uninstall.";

/** Something of it is there, as was said last; of who has not said all yet nothing is said. */
function isThere({ hearing }: AppInstance, state: AppState | undefined): state is AppState {
  return hearing !== "unheard" && state?.installed === true;
}

/** What an instance has that nobody asked for. It costs a lookup for each app. */
export function unaskedOn(one: AppInstance, { records }: Pick<AskedApps, "records">): UnaskedApp[] {
  const found: UnaskedApp[] = [];
  for (const state of one.states.values())
    if (!records.has(state.app) && isThere(one, state)) found.push({ one, state });
  return found;
}

/** One app of which no record knows, wherever it is, by the names of instances. */
export function unaskedApp(app: string, instances: Iterable<AppInstance>): UnaskedApp[] {
  const found: UnaskedApp[] = [];
  for (const one of instances) {
    const state = one.states.get(app);
    if (isThere(one, state)) found.push({ one, state });
  }
  return found.sort((one, other) => byName(one.one.instance, other.one.instance));
}

export function unaskedStanding({ one, state }: UnaskedApp): UnaskedStanding {
  return one.heardGeneration > 0 && state.generation > 0 ? "removing" : "kept";
}

/** Since when nobody has asked for it, as far as is known, in ledger time. */
export function unaskedSinceMs(unasked: UnaskedApp, { sinceMs }: Pick<AskedApps, "sinceMs">): number {
  const { one, state } = unasked;
  const sinceHere = Math.max(sinceMs, one.joinedAtMs);
  if (unaskedStanding(unasked) === "kept" || state.mismatchSinceMs === null) return sinceHere;
  return state.mismatchSinceMs + one.clockOffsetMs;
}

/** The one sentence for "why is it there?". */
export function whyUnasked(unasked: UnaskedApp, nowMs: number): Why {
  const { one, state } = unasked;
  const { app } = state;
  if (one.hearing !== "heard") {
    const sentence = `${silentText(one)}; it had ${app} then, which nobody asked for in this ledger.`;
    return { rule: whyRules.silent, sentence, blocking: [], nextAtMs: null };
  }
  const standing = unaskedStanding(unasked);
  const sentence =
    standing === "kept"
      ? `Nobody asked for ${app} in this ledger, so ${one.instance} keeps ${hereText(state)}.${failureText(unasked, nowMs)} Keep it by rollcall apps adopt ${app}, or remove it everywhere by rollcall apps uninstall ${app}.`
      : `${app} was uninstalled and forgotten while ${one.instance} was away, which is removing it now.${failureText(unasked, nowMs)} To have that tried anew: rollcall apps uninstall ${app}.`;
  const nextAtMs = nextAttemptAtMs(one, state);
  return { rule: unaskedRules[standing], sentence, blocking: [one.instance], nextAtMs };
}

/** All that is shown of it. */
export function unaskedRowOf(unasked: UnaskedApp, asked: AskedApps, nowMs: number): AppRow {
  const { one, state } = unasked;
  const isHeard = one.hearing === "heard";
  const isKept = unaskedStanding(unasked) === "kept";
  const why = whyUnasked(unasked, nowMs);
  return {
    app: state.app,
    instanceId: one.instance,
    desiredStatus: null,
    initStatus: state.initStatus,
    generation: 0,
    observedGeneration: state.generation,
    inSync: isHeard ? false : null,
    reason: state.reason ?? (isHeard && isKept ? { code: appUnaskedCode, message: unaskedMessage } : null),
    sinceMs: Math.min(nowMs, state.sinceMs + one.clockOffsetMs),
    mismatchSinceMs: isHeard ? Math.min(nowMs, unaskedSinceMs(unasked, asked)) : null,
    attempts: state.attempts,
    nextAttemptAtMs: nextAttemptAtMs(one, state),
    reportAgeMs: one.reportAgeMs,
    alerted: Object.hasOwn(one.alertedAtMs, state.app),
    rule: why.rule,
    why: why.sentence,
  };
}

/** What is refused to whoever names an app that no record knows. */
export function unknownApp(app: string, found: readonly UnaskedApp[]): RollcallError {
  const [first] = found;
  if (first === undefined) return refusal("UNKNOWN_APP", { app });
  const more = found.length === 1 ? "" : ` and ${found.length - 1} more`;
  return refusal(appUnaskedCode, { app, holders: `${first.one.instance}${more}` });
}

/** What is removed, as far as instances say, when somebody has an app uninstalled that no record knows. */
export function contentToRemove(found: readonly UnaskedApp[]): AppContent {
  const version = found.find(({ state }) => state.version !== null)?.state.version ?? "unknown";
  return { version, source: null, settings: {} };
}

/**
 * Of which instance an app is taken into the ledger.
 *
 * @param instance the one that was named; `null`: whichever, if all that are heard have the same version
 * @throws RollcallError `UNKNOWN_APP`, `APP_VERSIONS_DIFFER`, `APP_UNINSTALLED`
 */
export function holderToAdopt(app: string, found: readonly UnaskedApp[], instance: string | null): string {
  const heard = found.filter(({ one }) =>
    instance === null ? one.hearing === "heard" : one.instance === instance,
  );
  if (heard.length === 0) throw refusal("UNKNOWN_APP", { app });
  const kept = heard.filter((each) => unaskedStanding(each) === "kept");
  const [first] = kept;
  if (first === undefined) throw refusal("APP_UNINSTALLED", { app });
  const other = kept.find(({ state }) => state.version !== first.state.version);
  if (other !== undefined)
    throw refusal("APP_VERSIONS_DIFFER", {
      app,
      one: first.one.instance,
      version: first.state.version ?? "none",
      other: other.one.instance,
      otherVersion: other.state.version ?? "none",
    });
  return first.one.instance;
}

/** Whether what is alerted and no record knows is still there, or may be. */
export function isUnaskedStill(app: string, one: AppInstance): boolean {
  return one.hearing !== "heard" || isThere(one, one.states.get(app));
}
