import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alertsThatEnd, lookForUnasked } from "../../machines/app-look.js";
import type { AppInstance, AskedApp } from "../../machines/app-standing.js";
import {
  holderToAdopt,
  type UnaskedApp,
  unaskedApp,
  unaskedOn,
  unaskedRowOf,
  unknownApp,
  whyUnasked,
} from "../../machines/app-unasked.js";
import { initStatusSchema } from "../../src/contracts/app.js";
import { appRowSchema } from "../../src/contracts/app-api.js";
import { appInstance, appState, askedApp, failedApp, viewNowMs } from "./app-samples.js";

const minuteMs = 60_000;
const noRecords = { records: new Map(), sinceMs: viewNowMs - 20 * minuteMs };

/** `mail` as it is on an instance, which nobody asked for. */
function unasked(change: Parameters<typeof appState>[0] = {}, more: Parameters<typeof appInstance>[1] = {}) {
  const state = appState({ generation: 0, ...change });
  return { one: appInstance([state], more), state };
}

describe("why an app is there that nobody asked for", () => {
  test.each<[rule: string, UnaskedApp, sentence: string]>([
    [
      "not-asked-for",
      unasked(),
      "Nobody asked for mail in this ledger, so web-1 keeps it manually enabled, which runs in version 1.0.0. Keep it by rollcall apps adopt mail, or remove it everywhere by rollcall apps uninstall mail.",
    ],
    [
      "not-asked-for",
      unasked({ ...failedApp(), generation: 4 }, { heardGeneration: 0 }),
      "Nobody asked for mail in this ledger, so web-1 keeps it error disabled. It has failed there: App mail failed: it threw. 2 tries have failed. The next is in 4s. Keep it by rollcall apps adopt mail, or remove it everywhere by rollcall apps uninstall mail.",
    ],
    [
      "being-removed",
      unasked({ generation: 4, initStatus: "disabled" }),
      "mail was uninstalled and forgotten while web-1 was away, which is removing it now. To have that tried anew: rollcall apps uninstall mail.",
    ],
    [
      "being-removed",
      unasked({ ...failedApp({ nextAttemptAtMs: null, stopped: true }), generation: 4 }),
      "mail was uninstalled and forgotten while web-1 was away, which is removing it now. It has failed there: App mail failed: it threw. To have that tried anew: rollcall apps uninstall mail.",
    ],
    [
      "silent",
      unasked({}, { hearing: "silent", reportAgeMs: 40_000 }),
      "web-1 is silent, heard last 40s ago; it had mail then, which nobody asked for in this ledger.",
    ],
  ])("%s", (rule, one, sentence) => {
    expect(whyUnasked(one, viewNowMs)).toMatchObject({ rule, sentence });
  });

  test("its row has no desired status, and says since when it is so: since the ledger is there, or the instance", () => {
    expect(unaskedRowOf(unasked(), noRecords, viewNowMs)).toMatchObject({
      desiredStatus: null,
      generation: 0,
      inSync: false,
      reason: { code: "APP_UNASKED" },
      mismatchSinceMs: viewNowMs - 20 * minuteMs,
    });
    const joined = unasked({}, { joinedAtMs: viewNowMs - minuteMs });
    expect(unaskedRowOf(joined, noRecords, viewNowMs).mismatchSinceMs).toBe(viewNowMs - minuteMs);
    const removing = unasked({ ...failedApp(), generation: 4 });
    expect(unaskedRowOf(removing, noRecords, viewNowMs)).toMatchObject({
      reason: { code: "APP_FAILED" },
      mismatchSinceMs: viewNowMs - 20_000,
      attempts: 2,
    });
  });

  test("it is told of by the first that has it, by name", () => {
    const instances = ["web-2", "web-10", "web-1"].map((instance) => appInstance([appState()], { instance }));
    expect(unknownApp("mail", unaskedApp("mail", instances)).message).toContain("it is on web-1 and 2 more:");
  });

  test("of which nothing is there, or of whom not all is known yet, is not spoken", () => {
    const gone = appInstance([appState({ installed: false })]);
    const unheard = appInstance([appState()], { hearing: "unheard" });
    for (const one of [gone, unheard]) {
      expect(unaskedOn(one, noRecords)).toEqual([]);
      expect(unaskedApp("mail", [one])).toEqual([]);
    }
    expect(unknownApp("mail", unaskedApp("mail", [gone, unheard])).code).toBe("UNKNOWN_APP");
  });
});

describe("whose app is adopted", () => {
  const on = (instance: string, { one, state }: UnaskedApp): UnaskedApp => ({
    one: { ...one, instance },
    state,
  });
  const silent = on("a", unasked({ version: "9.0.0" }, { hearing: "silent" }));
  const first = on("b", unasked());
  const same = on("c", unasked());
  const other = on("d", unasked({ version: "2.0.0" }));
  const removing = on("e", unasked({ generation: 4 }));

  test("that of the first that is heard, if all have the same version", () => {
    expect(holderToAdopt("mail", [silent, first, same], null)).toBe("b");
    expect(() => holderToAdopt("mail", [first, same, other], null)).toThrow(
      "App mail is not the same everywhere: b has version 1.0.0, d has 2.0.0. Say whose is to be kept, by rollcall apps adopt mail --instance b.",
    );
    expect(holderToAdopt("mail", [first, same, other], "d")).toBe("d");
  });

  test("nobody's that is removing it, and nobody's that has none", () => {
    expect(() => holderToAdopt("mail", [removing], null)).toThrow(/is uninstalled/);
    expect(holderToAdopt("mail", [removing, first], null)).toBe("b");
    expect(() => holderToAdopt("mail", [silent], null)).toThrow(/There is no app mail/);
    expect(() => holderToAdopt("mail", [first], "x")).toThrow(/There is no app mail/);
  });
});

const names = ["mail", "chat", "poll"] as const;
const agoMs = fc.integer({ min: 0, max: 40 * minuteMs }).map((ms) => viewNowMs - ms);
const state = (app: string) =>
  fc
    .record({
      generation: fc.nat(3),
      initStatus: fc.constantFrom(...initStatusSchema.options),
      installed: fc.boolean(),
      version: fc.constantFrom(null, "1.0.0"),
      reason: fc.constantFrom(null, { code: "APP_FAILED", message: "it threw" }),
      sinceMs: agoMs,
      mismatchSinceMs: fc.option(agoMs),
      attempts: fc.nat(3),
      nextAttemptAtMs: fc.option(agoMs),
    })
    .map((change) => appState({ app, ...change }));
const instance = (name: string) =>
  fc
    .record({
      hearing: fc.constantFrom("heard", "heard", "silent", "unheard"),
      joinedAtMs: agoMs,
      heardSinceMs: agoMs,
      heardGeneration: fc.nat(2),
      clockOffsetMs: fc.integer({ min: -5_000, max: 5_000 }),
      states: fc.tuple(...names.map((app) => fc.option(state(app)))),
    })
    .map(({ states, ...change }) =>
      appInstance(
        states.filter((one) => one !== null),
        { instance: name, ...change },
      ),
    );
const fleet = fc.record({
  instances: fc.tuple(...["a", "b", "c"].map(instance)),
  asked: fc.subarray([...names]),
  sinceMs: agoMs,
});

function recordsOf(asked: readonly string[]): ReadonlyMap<string, AskedApp> {
  return new Map(asked.map((app) => [app, askedApp("enabled", { app })]));
}

function askedOf(asked: readonly string[], sinceMs: number) {
  const records = new Map([...recordsOf(asked)].map(([app, { record }]) => [app, record]));
  return { records, sinceMs };
}

describe("whatever instances have", () => {
  test("nothing that is there is hidden: it is asked for, or shown as what nobody asked for", () => {
    fc.assert(
      fc.property(fleet, ({ instances, asked, sinceMs }) => {
        const apps = askedOf(asked, sinceMs);
        for (const one of instances) {
          const shown = unaskedOn(one, apps).map((each) => unaskedRowOf(each, apps, viewNowMs));
          for (const row of shown) {
            expect(appRowSchema.parse(row)).toEqual(row);
            expect(row.why).toMatch(/^(?!.*(?:undefined|null|NaN|\[object)).+[.!]$/);
          }
          const there = [...one.states.values()].filter(({ installed }) => installed).map(({ app }) => app);
          const isKnown = one.hearing !== "unheard";
          const hidden = there.filter((app) => !asked.includes(app as (typeof names)[number]));
          expect(shown.map(({ app }) => app)).toEqual(isKnown ? hidden : []);
          expect(shown.every(({ inSync }) => inSync === (one.hearing === "heard" ? false : null))).toBe(true);
        }
      }),
    );
  });

  test("an alert begins once for what has lasted, and ends when it is gone or as asked", () => {
    fc.assert(
      fc.property(fleet, fc.integer({ min: 1, max: 3 }), ({ instances, asked, sinceMs }, room) => {
        const apps = askedOf(asked, sinceMs);
        const rules = { alertAfterMs: 10 * minuteMs, room };
        let now: readonly AppInstance[] = instances;
        for (let looks = 0; looks < 12; looks++) {
          const { begin, apps: found } = lookForUnasked(now, apps, viewNowMs, rules);
          expect(begin.length).toBeLessThanOrEqual(room);
          for (const { app, instance: id, sinceMs: since } of begin) {
            expect(found).toContain(app);
            expect(viewNowMs - since).toBeGreaterThanOrEqual(rules.alertAfterMs);
            const one = now.find((some) => some.instance === id);
            expect(one?.hearing).toBe("heard");
            expect(one?.alertedAtMs).not.toHaveProperty(app);
          }
          now = now.map((one) => ({
            ...one,
            alertedAtMs: {
              ...one.alertedAtMs,
              ...Object.fromEntries(
                begin.filter(({ instance: id }) => id === one.instance).map(({ app }) => [app, viewNowMs]),
              ),
            },
          }));
        }
        expect(lookForUnasked(now, apps, viewNowMs, rules).begin).toEqual([]);
        expect(alertsThatEnd(recordsOf(asked), now)).toEqual([]);
        const emptied = now.map((one) => ({ ...one, states: new Map() }));
        const alerts = now.reduce((sum, one) => sum + Object.keys(one.alertedAtMs).length, 0);
        const ended = alertsThatEnd(recordsOf(asked), emptied);
        expect(ended.map(({ because }) => because)).toEqual(Array(alerts).fill("gone"));
      }),
    );
  });
});
