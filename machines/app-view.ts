import type { AppView } from "../src/contracts/app-api.js";
import { legacyStatusOf } from "../src/contracts/app-status.js";
import type { Why } from "../src/contracts/views.js";
import { type AppTally, heardCount, mismatchCount } from "./app-look.js";
import type { AskedApp } from "./app-standing.js";
import { whyOfPair, whyRules } from "./app-why.js";

/*
 * An app as people see it: its counts, its conditions, its single status of old, and why it is no further. Derived from a look
 * (app-look.ts); the only thing that is remembered is since when each condition is what it is.
 */

export const conditionNames = ["Ready", "InSync", "Reconciling"] as const;
export type ConditionName = (typeof conditionNames)[number];

/** Since when each condition is what it is, in ledger time; `null`: since before this coordinator listens. */
export type ConditionTimes = Readonly<
  Record<ConditionName, { readonly status: boolean; readonly sinceMs: number | null }>
>;

interface Condition {
  readonly status: boolean;
  readonly sentence: string;
}

/**
 * @param before of the look before this one; `undefined` for the first
 * @param listensSinceMs since when this coordinator listens: what an app that was added later is, it is since then
 */
export function conditionTimes(
  before: ConditionTimes | undefined,
  asked: AskedApp,
  tally: AppTally,
  nowMs: number,
  listensSinceMs: number,
): ConditionTimes {
  const now = conditionsOf(asked, tally);
  const firstMs = asked.record.added.atMs >= listensSinceMs ? asked.record.added.atMs : null;
  const timeOf = (name: ConditionName) => {
    const { status } = now[name];
    const known = before?.[name];
    if (known === undefined) return { status, sinceMs: firstMs };
    return known.status === status ? known : { status, sinceMs: nowMs };
  };
  return {
    Ready: timeOf("Ready"),
    InSync: outOfSyncTime(timeOf("InSync"), tally),
    Reconciling: timeOf("Reconciling"),
  };
}

/** What began between two looks, or before this coordinator listened, is known by those whom it is about. */
function outOfSyncTime(
  time: ConditionTimes["InSync"],
  { mismatchSinceMs }: AppTally,
): ConditionTimes["InSync"] {
  if (time.status || mismatchSinceMs === null) return time;
  const { sinceMs } = time;
  return { status: false, sinceMs: sinceMs === null ? mismatchSinceMs : Math.min(sinceMs, mismatchSinceMs) };
}

/** An app as it is shown. @param times of the newest look */
export function appViewOf(asked: AskedApp, tally: AppTally, times: ConditionTimes, nowMs: number): AppView {
  const { app, desiredStatus, content, generation, added, changed } = asked.record;
  const { counts } = tally;
  const now = conditionsOf(asked, tally);
  // There was a look before: when this coordinator began to listen is of no matter.
  const since = conditionTimes(times, asked, tally, nowMs, nowMs);
  const shown = (name: ConditionName) => ({ ...now[name], sinceMs: since[name].sinceMs });
  return {
    app,
    desiredStatus,
    content,
    generation,
    added,
    changed,
    counts: {
      total: heardCount(tally) + counts.silent + counts.unheard,
      inSync: counts.inSync,
      mismatched: mismatchCount(tally),
      unheard: counts.silent + counts.unheard,
    },
    conditions: { Ready: shown("Ready"), InSync: shown("InSync"), Reconciling: shown("Reconciling") },
    status: legacyStatusOf(asked.record, tally.statuses),
    why: whyOfApp(asked, tally, nowMs),
  };
}

/** What the conditions are, each with its sentence. */
export function conditionsOf(asked: AskedApp, tally: AppTally): Readonly<Record<ConditionName, Condition>> {
  return {
    Ready: readyOf(asked, tally),
    InSync: inSyncOf(asked, tally),
    Reconciling: reconcilingOf(asked, tally),
  };
}

const nobodyHeard = "No instance is heard.";

function readyOf({ record: { desiredStatus } }: AskedApp, tally: AppTally): Condition {
  if (desiredStatus !== "enabled") return { status: false, sentence: `It is to be ${desiredStatus}.` };
  const heard = heardCount(tally);
  if (heard === 0) return { status: false, sentence: nobodyHeard };
  const { enabled } = tally;
  return { status: enabled === heard, sentence: `It runs on ${shareText(enabled, heard)}.` };
}

function inSyncOf(asked: AskedApp, tally: AppTally): Condition {
  if (isUntold(asked)) return { status: false, sentence: untoldText(asked) };
  const heard = heardCount(tally);
  if (heard === 0) return { status: true, sentence: nobodyHeard };
  const { inSync } = tally.counts;
  return { status: inSync === heard, sentence: `As asked on ${shareText(inSync, heard)}.` };
}

function reconcilingOf(asked: AskedApp, { counts }: AppTally): Condition {
  if (isUntold(asked)) return { status: true, sentence: untoldText(asked) };
  const parts = [
    manyText(counts.unobserved, "has not taken it up yet", "have not taken it up yet"),
    manyText(counts.working, "is at it", "are at it"),
    manyText(counts.retrying, "waits for its next try", "wait for their next try"),
    manyText(counts.stopped, "does not try again by itself", "do not try again by themselves"),
  ].flat();
  const status = counts.unobserved + counts.working + counts.retrying > 0;
  return { status, sentence: parts.length === 0 ? "Nothing is to be done." : `${parts.join(", ")}.` };
}

function isUntold({ told, record }: AskedApp): boolean {
  return told === null && record.desiredStatus !== "uninstalled";
}

function untoldText({ record: { app } }: AskedApp): string {
  return `No instance was told of it since the ledger was restored: rollcall apps reconcile --app ${app}.`;
}

function shareText(some: number, all: number): string {
  if (some < all) return `${some} of ${all} heard`;
  return all === 1 ? "the one that is heard" : `all ${all} heard`;
}

function manyText(count: number, one: string, many: string): string[] {
  return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
}

/** The one sentence for "why is it no further?", with whom it waits for. */
export function whyOfApp(asked: AskedApp, tally: AppTally, nowMs: number): Why {
  const mismatched = mismatchCount(tally);
  const nextAtMs = tally.nextAttemptAtMs;
  if (tally.worst !== null) {
    const { rule, sentence } = whyOfPair(asked, tally.worst, nowMs);
    const others =
      mismatched === 1 ? "" : ` And ${mismatched - 1} more: rollcall apps status ${asked.record.app}.`;
    const lead = `Not as asked on ${shareText(mismatched, heardCount(tally))}.`;
    return { rule, sentence: `${lead} ${sentence}${others}`, blocking: [...tally.mismatched], nextAtMs };
  }
  if (isUntold(asked)) return quiet(whyRules.untold, untoldText(asked));
  if (asked.record.desiredStatus === "uninstalled" && tally.unconfirmed > 0) return tombstoneWhy(tally);
  const absent = tally.counts.silent + tally.counts.unheard;
  const heard = heardCount(tally);
  if (heard + absent === 0) return quiet("no-instances", "No instance with apps is known.");
  if (heard === 0)
    return quiet(whyRules.silent, `No instance is heard (of ${absent}): what they have now is not known.`);
  const silence = manyText(absent, "is not heard", "are not heard").map((text) => `; ${text}`);
  return quiet(whyRules.inSync, `As asked on ${shareText(heard, heard)}${silence}.`);
}

function quiet(rule: string, sentence: string, blocking: readonly string[] = []): Why {
  return { rule, sentence, blocking: [...blocking], nextAtMs: null };
}

function tombstoneWhy({ absent, unconfirmed }: AppTally): Why {
  const [first] = absent;
  const who = unconfirmed === 1 ? `${first} confirms` : `${first} and ${unconfirmed - 1} more confirm`;
  return quiet(
    "tombstone",
    `Its record stays until ${who} that nothing of it is left; who left for good is taken out by rollcall apps forget INSTANCE.`,
    absent,
  );
}
