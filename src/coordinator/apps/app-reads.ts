import { tallyOf } from "../../../machines/app-look.js";
import type { AppInstance } from "../../../machines/app-standing.js";
import { unaskedApp, unaskedRowOf, unknownApp, whyUnasked } from "../../../machines/app-unasked.js";
import { appViewOf, conditionTimes } from "../../../machines/app-view.js";
import { appRowOf, whyOfPair } from "../../../machines/app-why.js";
import { byName } from "../../base/name-order.js";
import type { ControlPlane } from "../../contracts/api.js";
import type { AppRecord } from "../../contracts/app.js";
import { type AppView, appRowsMax } from "../../contracts/app-api.js";
import { appHistory } from "./app-history.js";
import { matrixOf, unaskedNames } from "./app-matrix.js";
import type { KnownApps } from "./known-apps.js";
import { Page } from "./page.js";

export type AppReads = Pick<
  ControlPlane,
  "apps.list" | "apps.get" | "apps.status" | "apps.why" | "apps.history"
>;

/** As of when the knowledge is. */
export interface AppsAsOf {
  nowMs(): number;
  asOfMs(): number;
  epoch(): number;
}

/** An app as it is shown, from what is known at this moment. */
export function appView(
  known: KnownApps,
  record: AppRecord,
  nowMs: number,
  instances: readonly AppInstance[] = known.instances(),
): AppView {
  const asked = known.askedOf(record);
  const tally = tallyOf(asked, instances);
  const times =
    known.timesOf(record.app) ?? conditionTimes(undefined, asked, tally, nowMs, known.listensSinceMs);
  return appViewOf(asked, tally, times, nowMs);
}

/** Why an app is on an instance what it is, asked for or not. @throws RollcallError `UNKNOWN_APP`, `APP_UNASKED` */
export function whyOnInstance(known: KnownApps, app: string, one: AppInstance, nowMs: number) {
  const record = known.catalog.records.get(app);
  if (record !== undefined) {
    const asked = known.askedOf(record);
    return { ...whyOfPair(asked, one, nowMs), row: appRowOf(asked, one, nowMs) };
  }
  const [unasked] = unaskedApp(app, [one]);
  if (unasked === undefined) throw unknownApp(app, known.unaskedApp(app));
  return { ...whyUnasked(unasked, nowMs), row: unaskedRowOf(unasked, known.askedApps(), nowMs) };
}

/** Answers what is asked about apps, by the leader or by a follower. */
export function createAppReads(
  known: KnownApps,
  asOf: AppsAsOf,
  audit: ControlPlane["events.list"],
): AppReads {
  return {
    "apps.list": async ({ limit, after, uninstalled }) => {
      const records = [...known.catalog.records.values()]
        .filter(({ app, desiredStatus }) => {
          const isShown = uninstalled || desiredStatus !== "uninstalled";
          return isShown && (after === null || byName(app, after) > 0);
        })
        .sort((one, other) => byName(one.app, other.app));
      const instances = known.instances();
      const page = new Page<AppView>(limit);
      for (const record of records)
        if (!page.take(() => appView(known, record, asOf.nowMs(), instances))) break;
      const { items } = page;
      const next = page.isFull ? (items.at(-1)?.app ?? null) : null;
      const unasked = after === null ? unaskedNames(known, instances).slice(0, appRowsMax) : [];
      return { items, next, unasked, asOf: asOf.asOfMs(), epoch: asOf.epoch() };
    },
    "apps.get": async ({ app }) => appView(known, known.record(app), asOf.nowMs()),
    "apps.status": async (request) => ({
      ...matrixOf(known, request, asOf.nowMs()),
      asOf: asOf.asOfMs(),
      epoch: asOf.epoch(),
    }),
    "apps.why": async ({ app, instance }) =>
      whyOnInstance(known, app, known.instance(instance), asOf.nowMs()),
    "apps.history": async (request) => appHistory(audit, request),
  };
}
