import type { InitStatus } from "../src/contracts/app.js";
import { isEnabled } from "../src/contracts/app-status.js";
import {
  type AppInstance,
  type AppStanding,
  type AskedApp,
  alertDueAtMs,
  hasConfirmed,
  type Mismatch,
  mismatchSinceMs,
  standingOf,
} from "./app-standing.js";
import {
  type AskedApps,
  isUnaskedStill,
  type UnaskedStanding,
  unaskedOn,
  unaskedSinceMs,
  unaskedStanding,
} from "./app-unasked.js";

/*
 * A look at all apps on all instances: what each adds up to, which alerts begin and end, which tombstones may go. It is taken anew each
 * time, one lookup and some comparisons a pair, without an object for one that is in sync: half a million pairs take 0.1 to 0.2 s, so
 * a look every 30 s is half a percent of a core, and nothing is kept up that could drift from what it is derived from. Who must not stand
 * still for so long looks at some apps at a time.
 */

/** Names in a list that stands for more. */
const namesMax = 20;
/** Causes of one app's alerts that are named. */
const causesMax = 3;

/** What an app comes to on all instances. */
export interface AppTally {
  readonly counts: Readonly<Record<AppStanding, number>>;
  /** Heard ones on which it runs, in whatever generation. */
  readonly enabled: number;
  /** Init statuses of those that are heard and have the app. */
  readonly statuses: ReadonlySet<InitStatus>;
  /** The first of the mismatched ones. */
  readonly mismatched: readonly string[];
  /** How many of those that are not heard have not confirmed that it is uninstalled, and the first of them. */
  readonly unconfirmed: number;
  readonly absent: readonly string[];
  /** The mismatch to speak of first. */
  readonly worst: AppInstance | null;
  /** Since when the oldest mismatch is one, and when the next try is due, in ledger time. */
  readonly mismatchSinceMs: number | null;
  readonly nextAttemptAtMs: number | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Growing = Mutable<Omit<AppTally, "counts" | "statuses" | "mismatched" | "absent">> & {
  readonly counts: Record<AppStanding, number>;
  readonly statuses: Set<InitStatus>;
  readonly mismatched: string[];
  readonly absent: string[];
};

export function heardCount({ counts }: AppTally): number {
  return counts.inSync + mismatchCount({ counts });
}

export function mismatchCount({ counts }: Pick<AppTally, "counts">): number {
  return counts.untold + counts.unobserved + counts.working + counts.retrying + counts.stopped;
}

export function tallyOf(asked: AskedApp, instances: Iterable<AppInstance>): AppTally {
  return tallied(asked, instances, () => undefined);
}

const badness: Readonly<Record<Mismatch, number>> = {
  stopped: 4,
  retrying: 3,
  unobserved: 2,
  working: 1,
  untold: 0,
};

function tallied(
  asked: AskedApp,
  instances: Iterable<AppInstance>,
  onMismatch: (one: AppInstance, standing: Mismatch) => void,
): AppTally {
  const tally: Growing = {
    counts: {
      inSync: 0,
      silent: 0,
      unheard: 0,
      untold: 0,
      unobserved: 0,
      working: 0,
      retrying: 0,
      stopped: 0,
    },
    enabled: 0,
    statuses: new Set(),
    mismatched: [],
    unconfirmed: 0,
    absent: [],
    worst: null,
    mismatchSinceMs: null,
    nextAttemptAtMs: null,
  };
  const { app } = asked.record;
  let worst = -1;
  let last: InitStatus | undefined;
  for (const one of instances) {
    const state = one.states.get(app);
    const standing = standingOf(asked, one, state);
    tally.counts[standing]++;
    if (standing === "silent" || standing === "unheard") {
      if (hasConfirmed(asked, one)) continue;
      tally.unconfirmed++;
      if (tally.absent.length < namesMax) tally.absent.push(one.instance);
      continue;
    }
    if (state !== undefined) {
      const { initStatus } = state;
      if (initStatus !== last) tally.statuses.add(initStatus);
      last = initStatus;
      if (isEnabled(initStatus)) tally.enabled++;
    }
    if (standing === "inSync") continue;
    noteMismatch(tally, asked, one, standing);
    if (badness[standing] > worst) {
      worst = badness[standing];
      tally.worst = one;
    }
    onMismatch(one, standing);
  }
  return tally;
}

function noteMismatch(tally: Growing, asked: AskedApp, one: AppInstance, standing: Mismatch): void {
  if (tally.mismatched.length < namesMax) tally.mismatched.push(one.instance);
  tally.mismatchSinceMs = earlier(tally.mismatchSinceMs, mismatchSinceMs(asked, one, standing));
  if (standing !== "retrying") return;
  const nextMs = one.states.get(asked.record.app)?.nextAttemptAtMs ?? null;
  tally.nextAttemptAtMs = earlier(tally.nextAttemptAtMs, nextMs === null ? null : nextMs + one.clockOffsetMs);
}

/** What a mismatch is counted under: the code of its reason; without one, how it stands. */
export function causeOf({ record }: AskedApp, { states }: AppInstance, standing: Mismatch): string {
  if (standing === "untold" || standing === "unobserved") return standing;
  return states.get(record.app)?.reason?.code ?? standing;
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

/** An alert that begins: since when it has been a mismatch, and how it stands. */
export interface AlertBegins {
  readonly app: string;
  readonly instance: string;
  readonly sinceMs: number;
  readonly standing: Mismatch;
}

/** An alert that ends, because it is in sync or because the app is gone. */
export interface AlertEnds {
  readonly app: string;
  readonly instance: string;
  readonly alertedAtMs: number;
  readonly because: "inSync" | "gone";
}

/** What a look at one app finds. */
export interface AppLook {
  readonly tally: AppTally;
  readonly begin: readonly AlertBegins[];
  /** Alerts that are due and had no room: they begin in the next look. */
  readonly more: number;
  /** It is a tombstone that every known instance has confirmed. */
  readonly isClearable: boolean;
}

/** How long a mismatch lasts before an alert is raised, unless somebody says otherwise. */
export const defaultAlertAfterMs = 600_000;

export interface LookRules {
  readonly alertAfterMs: number;
  /** Alerts that may begin at most. */
  readonly room: number;
}

export function lookAtApp(
  asked: AskedApp,
  instances: readonly AppInstance[],
  nowMs: number,
  { alertAfterMs, room }: LookRules,
): AppLook {
  const { app, desiredStatus } = asked.record;
  const begin: AlertBegins[] = [];
  let more = 0;
  const tally = tallied(asked, instances, (one, standing) => {
    if (Object.hasOwn(one.alertedAtMs, app)) return;
    const dueAtMs = alertDueAtMs(asked, one, standing, alertAfterMs);
    if (dueAtMs === null || nowMs < dueAtMs) return;
    const sinceMs = mismatchSinceMs(asked, one, standing) ?? nowMs;
    if (begin.length === room) more++;
    else begin.push({ app, instance: one.instance, sinceMs, standing });
  });
  const isClearable = desiredStatus === "uninstalled" && instances.every((one) => hasConfirmed(asked, one));
  return { tally, begin, more, isClearable };
}

/** An alert of one that nobody asked for. */
export type UnaskedAlert = Omit<AlertBegins, "standing"> & { readonly standing: UnaskedStanding };

/** What a look at some instances finds. */
export interface UnaskedLook {
  readonly apps: readonly string[];
  readonly begin: readonly UnaskedAlert[];
}

/** Looks for what nobody asked for. Who was away is given the time anew: mostly it then removes what is to go. */
export function lookForUnasked(
  instances: readonly AppInstance[],
  asked: AskedApps,
  nowMs: number,
  { alertAfterMs, room }: LookRules,
): UnaskedLook {
  const apps = new Set<string>();
  const begin: UnaskedAlert[] = [];
  for (const one of instances) {
    if (one.hearing !== "heard") continue;
    for (const unasked of unaskedOn(one, asked)) {
      const { app } = unasked.state;
      apps.add(app);
      const sinceMs = unaskedSinceMs(unasked, asked);
      const isDue = nowMs >= Math.max(sinceMs, one.heardSinceMs) + alertAfterMs;
      if (!isDue || begin.length >= room || Object.hasOwn(one.alertedAtMs, app)) continue;
      begin.push({ app, instance: one.instance, sinceMs, standing: unaskedStanding(unasked) });
    }
  }
  return { apps: [...apps], begin };
}

/** An app that is alerted, on how many instances, and why: the codes of their reasons, the most frequent first. */
export interface AlertedApp {
  readonly app: string;
  readonly instances: number;
  readonly causes: string[];
}

/** Apps that are alerted, those on most instances first. It costs what there are alerts. */
export function alertedApps(instances: Iterable<AppInstance>): AlertedApp[] {
  const found = new Map<string, { instances: number; readonly causes: Map<string, number> }>();
  for (const { alertedAtMs, states } of instances)
    for (const app of Object.keys(alertedAtMs)) {
      const of = found.get(app) ?? { instances: 0, causes: new Map<string, number>() };
      found.set(app, of);
      of.instances++;
      const code = states.get(app)?.reason?.code;
      if (code !== undefined) of.causes.set(code, (of.causes.get(code) ?? 0) + 1);
    }
  return [...found]
    .map(([app, { instances: count, causes }]) => {
      const byCount = [...causes].sort(([, one], [, other]) => other - one);
      return { app, instances: count, causes: byCount.slice(0, causesMax).map(([code]) => code) };
    })
    .sort((one, other) => other.instances - one.instances);
}

/** Alerts that are over. It costs what there are alerts. @param apps all of them, by name */
export function alertsThatEnd(
  apps: ReadonlyMap<string, AskedApp>,
  instances: readonly AppInstance[],
): AlertEnds[] {
  return instances.flatMap((one) =>
    Object.entries(one.alertedAtMs).flatMap(([app, alertedAtMs]): AlertEnds[] => {
      const asked = apps.get(app);
      const ended = { app, instance: one.instance, alertedAtMs };
      if (asked === undefined) return isUnaskedStill(app, one) ? [] : [{ ...ended, because: "gone" }];
      return standingOf(asked, one) === "inSync" ? [{ ...ended, because: "inSync" }] : [];
    }),
  );
}
