import { tallyOf } from "../../../machines/app-look.js";
import { type AppInstance, isMismatch, standingOf } from "../../../machines/app-standing.js";
import { appViewOf, conditionTimes } from "../../../machines/app-view.js";
import { appRowOf, whyOfPair } from "../../../machines/app-why.js";
import { byName } from "../../base/name-order.js";
import type { ControlPlane, ParsedRequestOf, ReplyOf } from "../../contracts/api.js";
import type { AppRecord } from "../../contracts/app.js";
import type { AppRow, AppView } from "../../contracts/app-api.js";
import { appHistory } from "./app-history.js";
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
      return { items, next, asOf: asOf.asOfMs(), epoch: asOf.epoch() };
    },
    "apps.get": async ({ app }) => appView(known, known.catalog.record(app), asOf.nowMs()),
    "apps.status": async (request) => ({
      ...statusOf(known, request, asOf.nowMs()),
      asOf: asOf.asOfMs(),
      epoch: asOf.epoch(),
    }),
    "apps.why": async ({ app, instance }) => {
      const asked = known.askedOf(known.catalog.record(app));
      const one = known.instance(instance);
      const nowMs = asOf.nowMs();
      return { ...whyOfPair(asked, one, nowMs), row: appRowOf(asked, one, nowMs) };
    },
    "apps.history": async (request) => appHistory(audit, request),
  };
}

type StatusRequest = ParsedRequestOf<"apps.status">;
type StatusReply = Pick<ReplyOf<"apps.status">, "items" | "counts" | "next">;

/** @throws RollcallError `UNKNOWN_APP`, `UNKNOWN_INSTANCE` */
function statusOf(known: KnownApps, request: StatusRequest, nowMs: number): StatusReply {
  const { app, instance, all, after, limit } = request;
  const apps = app === null ? [...known.asked()] : [known.askedOf(known.catalog.record(app))];
  const instances = instance === null ? known.instances() : [known.instance(instance)];
  apps.sort((one, other) => byName(one.record.app, other.record.app));
  instances.sort((one, other) => byName(one.instance, other.instance));
  const page = new Page<AppRow>(limit);
  const counts = { total: 0, inSync: 0, mismatched: 0, unheard: 0 };
  for (const asked of apps) {
    const order = after === null ? 1 : byName(asked.record.app, after.app);
    for (const one of instances) {
      const standing = standingOf(asked, one);
      const isWrong = isMismatch(standing);
      counts.total++;
      if (isWrong) counts.mismatched++;
      else if (standing === "inSync") counts.inSync++;
      else counts.unheard++;
      if (!(all || isWrong)) continue;
      const isAfter = order > 0 || (order === 0 && byName(one.instance, after?.instance ?? "") > 0);
      if (!isAfter) continue;
      page.take(() => appRowOf(asked, one, nowMs));
    }
  }
  const { items, isFull } = page;
  const last = items.at(-1);
  const next = isFull && last !== undefined ? { app: last.app, instance: last.instanceId } : null;
  return { items, counts, next };
}
