import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AlertBegins,
  type AlertEnds,
  alertedApps,
  alertsThatEnd,
  defaultAlertAfterMs,
  lookAtApp,
  mismatchCount,
  tallyOf,
} from "../../machines/app-look.js";
import { planRetries } from "../../machines/app-retries.js";
import {
  type AppInstance,
  type AskedApp,
  hasConfirmed,
  isMismatch,
  standingOf,
} from "../../machines/app-standing.js";
import { appViewOf, conditionTimes } from "../../machines/app-view.js";
import { appRowOf } from "../../machines/app-why.js";
import { initStatusSchema } from "../../src/contracts/app.js";
import { appRowSchema, appViewSchema } from "../../src/contracts/app-api.js";
import { appInstance, appState, askedApp, viewNowMs } from "./app-samples.js";

const names = ["mail", "chat", "poll"] as const;
const agoMs = fc.integer({ min: 0, max: 1_200_000 }).map((ms) => viewNowMs - ms);

const reasons = fc.constantFrom(
  null,
  { code: "APP_FAILED", message: "App failed: it threw." },
  { code: "APP_COMPILER_ERROR", message: "It does not compile" },
);

const stateOf = (app: string) =>
  fc
    .record({
      generation: fc.nat(4),
      initStatus: fc.constantFrom(...initStatusSchema.options),
      installed: fc.boolean(),
      reason: reasons,
      sinceMs: agoMs,
      mismatchSinceMs: fc.option(agoMs),
      attempts: fc.nat(5),
      nextAttemptAtMs: fc.option(agoMs),
      stopped: fc.boolean(),
    })
    .map((state) => appState({ app, ...state }));

const asked = (app: string): fc.Arbitrary<AskedApp> =>
  fc
    .record({
      desiredStatus: fc.constantFrom("enabled", "disabled", "uninstalled"),
      generation: fc.integer({ min: 1, max: 4 }),
      told: fc.option(fc.record({ appsGeneration: fc.integer({ min: 1, max: 9 }), atMs: agoMs })),
    })
    .map(({ desiredStatus, generation, told }) => askedApp(desiredStatus, { app, generation }, told));

const instance = (name: string): fc.Arbitrary<AppInstance> =>
  fc
    .record({
      hearing: fc.constantFrom("heard", "heard", "silent", "unheard"),
      joinedAtMs: agoMs,
      heardSinceMs: agoMs,
      heardGeneration: fc.nat(9),
      clockOffsetMs: fc.integer({ min: -10_000, max: 10_000 }),
      reportAgeMs: fc.option(fc.nat(10_000)),
      states: fc.tuple(...names.map((app) => fc.option(stateOf(app)))),
      alerted: fc.subarray([...names, "cleared"]),
    })
    .map(({ states, alerted, hearing, ...change }) =>
      appInstance(hearing === "unheard" ? [] : states.filter((state) => state !== null), {
        instance: name,
        hearing,
        alertedAtMs: Object.fromEntries(alerted.map((app) => [app, viewNowMs - 1_000])),
        ...change,
      }),
    );

const fleet = fc.record({
  apps: fc.tuple(...names.map(asked)),
  instances: fc.tuple(...["a", "b", "c", "d"].map(instance)),
});

interface Alerts {
  readonly begin: readonly AlertBegins[];
  readonly end: readonly AlertEnds[];
  readonly more: number;
}

/** What one look at all of them finds, with room for so many new alerts. */
function alertsIn(apps: readonly AskedApp[], instances: readonly AppInstance[], room: number): Alerts {
  const begin: AlertBegins[] = [];
  let more = 0;
  for (const app of apps) {
    const rules = { alertAfterMs: defaultAlertAfterMs, room: room - begin.length };
    const look = lookAtApp(app, instances, viewNowMs, rules);
    begin.push(...look.begin);
    more += look.more;
  }
  const known = new Map(apps.map((app) => [app.record.app, app]));
  return { begin, more, end: alertsThatEnd(known, instances) };
}

/** The fleet once the alerts of a look are written. */
function written(instances: readonly AppInstance[], { begin, end }: Alerts): AppInstance[] {
  return instances.map((one) => {
    const alerted = new Map(Object.entries(one.alertedAtMs));
    for (const ended of end) if (ended.instance === one.instance) alerted.delete(ended.app);
    for (const begun of begin) if (begun.instance === one.instance) alerted.set(begun.app, viewNowMs);
    return { ...one, alertedAtMs: Object.fromEntries(alerted) };
  });
}

describe("a look at all apps on all instances", () => {
  test("counts each pair once, as its row shows it, whatever the order of instances is", () => {
    fc.assert(
      fc.property(fleet, ({ apps, instances }) => {
        for (const app of apps) {
          const tally = tallyOf(app, instances);
          const turned = tallyOf(app, [...instances].reverse());
          const rows = instances.map((one) => appRowOf(app, one, viewNowMs));
          expect(turned.counts).toEqual(tally.counts);
          expect(rows.filter(({ inSync }) => inSync === true)).toHaveLength(tally.counts.inSync);
          expect(rows.filter(({ inSync }) => inSync === false)).toHaveLength(mismatchCount(tally));
          const { counts } = appViewOf(
            app,
            tally,
            conditionTimes(undefined, app, tally, viewNowMs, 0),
            viewNowMs,
          );
          expect(counts.total).toBe(instances.length);
          expect(counts.inSync + counts.mismatched + counts.unheard).toBe(counts.total);
        }
      }),
    );
  });

  test("is shown as the contract says, in sentences without holes", () => {
    fc.assert(
      fc.property(fleet, ({ apps, instances }) => {
        for (const app of apps) {
          const tally = tallyOf(app, instances);
          const view = appViewOf(app, tally, conditionTimes(undefined, app, tally, viewNowMs, 0), viewNowMs);
          const rows = instances.map((one) => appRowOf(app, one, viewNowMs));
          expect(appViewSchema.parse(view)).toEqual(view);
          for (const row of rows) expect(appRowSchema.parse(row)).toEqual(row);
          const { Ready, InSync, Reconciling } = view.conditions;
          const sentences = [view.why, Ready, InSync, Reconciling].map(({ sentence }) => sentence);
          for (const text of [...sentences, ...rows.map(({ why }) => why)])
            expect(text).toMatch(/^(?!.*(?:undefined|null|NaN|\[object)).+[.!]$/);
        }
      }),
    );
  });

  test("begins an alert once, for what has lasted long enough, and ends it once", () => {
    fc.assert(
      fc.property(fleet, fc.integer({ min: 1, max: 4 }), ({ apps, instances }, room) => {
        let now = instances as readonly AppInstance[];
        for (let looks = 0; looks < 30; looks++) {
          const look = alertsIn(apps, now, room);
          for (const { app, instance, sinceMs, standing } of look.begin) {
            const pair = apps.find(({ record }) => record.app === app);
            const one = now.find((some) => some.instance === instance);
            if (pair === undefined || one === undefined) throw new Error("of no pair");
            expect(standingOf(pair, one)).toBe(standing);
            expect(isMismatch(standing) && standing !== "untold").toBe(true);
            expect(one.alertedAtMs).not.toHaveProperty(app);
            expect(viewNowMs - sinceMs).toBeGreaterThanOrEqual(defaultAlertAfterMs);
          }
          expect(look.begin.length).toBeLessThanOrEqual(room);
          now = written(now, look);
          if (look.begin.length + look.end.length === 0) {
            expect(look.more).toBe(0);
            return;
          }
        }
        throw new Error("alerts begin and end without end");
      }),
    );
  });

  test("ends every alert once all is as asked, and none of who is not heard", () => {
    fc.assert(
      fc.property(fleet, ({ apps, instances }) => {
        const look = alertsIn(apps, instances, 250);
        for (const { app, instance, because } of look.end) {
          const pair = apps.find(({ record }) => record.app === app);
          const one = instances.find((some) => some.instance === instance);
          if (one === undefined) throw new Error("of no instance");
          expect(because).toBe(pair === undefined ? "gone" : "inSync");
          if (pair !== undefined) expect(standingOf(pair, one)).toBe("inSync");
        }
        const left = written(instances, look);
        for (const one of left)
          for (const app of Object.keys(one.alertedAtMs)) {
            const pair = apps.find(({ record }) => record.app === app);
            expect(pair === undefined ? one.hearing : standingOf(pair, one)).not.toBe(
              pair === undefined ? "heard" : "inSync",
            );
          }
      }),
    );
  });

  test("names the apps that are alerted, on how many instances, those on most first", () => {
    fc.assert(
      fc.property(fleet, ({ instances }) => {
        const found = alertedApps(instances);
        expect(new Set(found.map(({ app }) => app)).size).toBe(found.length);
        for (const [at, { app, instances: count, causes }] of found.entries()) {
          const where = instances.filter(({ alertedAtMs }) => Object.hasOwn(alertedAtMs, app));
          expect(where).toHaveLength(count);
          expect(count).toBeLessThanOrEqual(found[at - 1]?.instances ?? count);
          for (const code of causes)
            expect(where.some(({ states }) => states.get(app)?.reason?.code === code)).toBe(true);
        }
        const alerts = instances.flatMap(({ alertedAtMs }) => Object.keys(alertedAtMs));
        expect(found.reduce((sum, { instances: count }) => sum + count, 0)).toBe(alerts.length);
      }),
    );
  });

  test("lets a tombstone go exactly when every known instance has confirmed it", () => {
    fc.assert(
      fc.property(fleet, ({ apps, instances }) => {
        for (const app of apps) {
          const rules = { alertAfterMs: defaultAlertAfterMs, room: 0 };
          const { isClearable } = lookAtApp(app, instances, viewNowMs, rules);
          const isTombstone = app.record.desiredStatus === "uninstalled";
          const all = instances.every((one) => hasConfirmed(app, one));
          expect(isClearable).toBe(isTombstone && all);
          if (instances.some(({ hearing }) => hearing === "unheard")) expect(isClearable).toBe(false);
        }
      }),
    );
  });

  test("a request to try again reaches whatever has failed, and nothing that is as asked", () => {
    fc.assert(
      fc.property(fleet, ({ apps, instances }) => {
        const plan = planRetries(apps, instances, { app: null, instance: null });
        let retried = 0;
        for (const one of instances)
          for (const pair of apps) {
            const standing = standingOf(pair, one);
            const isAsked = plan.retry.get(one.instance)?.includes(pair.record.app) ?? false;
            expect(isAsked).toBe(standing === "retrying" || standing === "stopped");
            if (isAsked) retried++;
            if (standing === "unobserved") expect(plan.read).toContain(one.instance);
            if (standing === "untold") expect(plan.tell).toContain(pair.record.app);
          }
        const untold = apps.flatMap((pair) =>
          instances.filter((one) => standingOf(pair, one) === "untold"),
        ).length;
        expect(plan.found).toBe(retried + plan.left + untold);
        const one = planRetries(apps, instances, { app: "mail", instance: "a" });
        expect(one.tell).toEqual([]);
        expect([...one.retry.keys(), ...one.read].every((name) => name === "a")).toBe(true);
      }),
    );
  });
});
