import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  type AppList,
  type AppRecord,
  appListSchema,
  type DesiredApp,
  desiredAppSchema,
  type InitStatus,
  initStatusSchema,
} from "../../src/contracts/app.js";
import { appEndpoints } from "../../src/contracts/app-api.js";
import { appCodes } from "../../src/contracts/app-codes.js";
import { appsMax } from "../../src/contracts/app-limits.js";
import {
  type AppReport,
  appReportSchema,
  appStateSchema,
  appStateText,
} from "../../src/contracts/app-report.js";
import {
  desiredOfLegacy,
  failureMeanings,
  isEnabled,
  isInSync,
  legacyStatusOf,
} from "../../src/contracts/app-status.js";
import { keys, parseKey } from "../../src/contracts/keys.js";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { instanceOfSubject, subjectsOf } from "../../src/contracts/subjects.js";

const mark = { by: "alice", atMs: 1, reason: null };
const desired: DesiredApp = {
  format: 1,
  ledgerId: "l1",
  epoch: 1,
  app: "mail",
  generation: 2,
  appsGeneration: 9,
  desiredStatus: "enabled",
  content: { version: "1.0.0", source: "./apps/mail", settings: { greeting: "hello", deep: [{ a: null }] } },
};
const { ledgerId: _, epoch: __, appsGeneration: ___, ...asked } = desired;
const changedIn = { desiredStatus: 2, version: 1, source: 1, settings: 1 };
const record: AppRecord = {
  ...asked,
  added: mark,
  changed: mark,
  changedIn,
  requests: [{ key: "r1", generation: 2, desiredStatus: "enabled", version: "1.0.0" }],
  legacyStatus: null,
};
const statuses = initStatusSchema.options;
const failed: readonly InitStatus[] = Object.values(failureMeanings).map(({ initStatus }) => initStatus);

describe("records of apps", () => {
  test("what is asked of an app, and the list of apps, are read as they were written", () => {
    const list: AppList = { format: 1, ledgerId: "l1", epoch: 1, generation: 9, apps: { mail: 2 } };
    expect(currentFormats["desired.app"].read(currentFormats["desired.app"].write(desired))).toEqual({
      record: desired,
    });
    expect(currentFormats.app.read(record)).toEqual({ record });
    expect(currentFormats.desired.read(list)).toEqual({ record: list });
    expect(currentFormats["desired.app"].read({ ...desired, format: 2 })).toEqual({ newer: 2 });
    expect(parseKey(keys.app("mail"))).toEqual(["app", "mail"]);
    expect(parseKey(keys.desiredApp("mail"))).toEqual(["desired.app", "mail"]);
    expect(parseKey(keys.desiredApps)?.[0]).toBe("desired");
  });

  test("settings and lists have a bound", () => {
    const settings = { text: "x".repeat(20_000) };
    expect(
      desiredAppSchema.safeParse({ ...desired, content: { ...desired.content, settings } }).success,
    ).toBe(false);
    const apps = Object.fromEntries(Array.from({ length: appsMax + 1 }, (_, at) => [`a${at}`, 1]));
    const list = { format: 1, ledgerId: "l1", epoch: 1, generation: 1, apps };
    expect(appListSchema.safeParse(list).success).toBe(false);
  });

  test("all states of the largest instance fit one message, whatever their reasons are", () => {
    const states = Array.from({ length: appsMax }, (_, at) => ({
      app: `${at}`.padStart(63, "a"),
      generation: 1_000,
      initStatus: "invalid_installation_disabled" as const,
      installed: true,
      version: "9".repeat(64),
      reason: { code: "APP_INSTALLATION_INVALID", message: "漢".repeat(200) },
      sinceMs: 1_893_456_000_000,
      mismatchSinceMs: 1_893_456_000_000,
      attempts: 1_000,
      nextAttemptAtMs: 1_893_456_000_000,
      stopped: false,
    }));
    const report: AppReport = {
      format: 1,
      instance: "web-1",
      incarnation: "i1",
      seq: 0,
      agentVersion: "1.0.0",
      desiredFormat: 1,
      ledgerId: "l1",
      generation: 1,
      digest: "0".repeat(32),
      count: appsMax,
      changes: { log: "g1", number: 0 },
      atMs: 0,
      apps: { whole: true, states, gone: [] },
    };
    expect(appReportSchema.safeParse(report).success).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(report))).toBeLessThan(1_048_576);
  });

  test("states differ in their texts exactly if they differ", () => {
    const state = fc.record({
      app: fc.constantFrom("a", "b"),
      generation: fc.nat(2),
      initStatus: fc.constantFrom(...statuses),
      installed: fc.boolean(),
      version: fc.constantFrom(null, "1", "2"),
      reason: fc.constantFrom(null, { code: "A", message: "" }, { code: "A", message: "x" }),
      sinceMs: fc.nat(2),
      mismatchSinceMs: fc.constantFrom(null, 1, 2),
      attempts: fc.nat(1),
      nextAttemptAtMs: fc.constantFrom(null, 1, 2),
      stopped: fc.boolean(),
    });
    fc.assert(
      fc.property(state, state, (one, other) => {
        const shuffled = Object.fromEntries(Object.entries(one).reverse());
        expect(appStateText(appStateSchema.parse(shuffled))).toBe(appStateText(one));
        const areEqual = JSON.stringify(one) === JSON.stringify(other);
        expect(appStateText(one) === appStateText(other)).toBe(areEqual);
      }),
    );
  });

  test("subjects about apps name their instance, and are not those of agents", () => {
    const subjects = subjectsOf("default");
    expect(instanceOfSubject(subjects.apps("web-1"))).toBe("web-1");
    expect(instanceOfSubject(subjects.appsAsk("web-1", "retry"))).toBe("web-1");
    expect(subjects.appsAsk("web-1", "report")).not.toBe(subjects.ask("web-1", "report"));
  });
});

describe("in sync", () => {
  const state = { generation: 2, initStatus: "disabled" as InitStatus, installed: true };
  test.each(statuses)("an app that is %s", (initStatus) => {
    const here = { ...state, initStatus };
    expect(isInSync(desired, here)).toBe(isEnabled(initStatus));
    const disabled = { ...desired, desiredStatus: "disabled" as const };
    expect(isInSync(disabled, here)).toBe(!isEnabled(initStatus) && initStatus !== "unknown");
    expect(isInSync(disabled, { ...here, generation: 1 })).toBe(false);
  });

  test("a tombstone is confirmed by an instance that has nothing of it, or never had", () => {
    const tombstone = { ...desired, desiredStatus: "uninstalled" as const };
    expect(isInSync(tombstone, state)).toBe(false);
    expect(isInSync(tombstone, { ...state, installed: false })).toBe(true);
    expect(isInSync(tombstone, { ...state, installed: false, generation: 1 })).toBe(false);
    expect(isInSync(tombstone, undefined)).toBe(true);
    expect(isInSync(desired, undefined)).toBe(false);
  });
});

describe("the single status of old", () => {
  const wanted = { desiredStatus: "enabled", legacyStatus: null } as const;
  const unwanted = { desiredStatus: "disabled", legacyStatus: null } as const;
  test.each([
    [wanted, ["manually_enabled", "auto_enabled"], "manually_enabled"],
    [wanted, ["auto_enabled", "unknown", "initialized"], "auto_enabled"],
    [wanted, ["auto_enabled", "error_disabled"], "error_disabled"],
    [wanted, ["error_disabled", "compiler_error_disabled"], "compiler_error_disabled"],
    [wanted, ["unknown", "constructed", "initialized"], "initialized"],
    [unwanted, ["manually_disabled", "auto_enabled"], "auto_enabled"],
    [unwanted, ["manually_disabled", "disabled"], "disabled"],
    [unwanted, ["manually_disabled"], "manually_disabled"],
    [{ ...wanted, legacyStatus: "error_disabled" }, [], "error_disabled"],
    [wanted, [], "unknown"],
  ] as const)("%j of %j is %s", (asked, found, answer) => {
    expect(legacyStatusOf(asked, found)).toBe(answer);
  });

  test("one answer for any mixture, and one that some instance gave", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...statuses), { minLength: 1 }),
        fc.boolean(),
        (found, isWanted) => {
          const answer = legacyStatusOf(isWanted ? wanted : unwanted, found);
          expect(found).toContain(answer);
          expect(legacyStatusOf(isWanted ? wanted : unwanted, [...found].reverse())).toBe(answer);
        },
      ),
    );
  });

  test("each of its values says what administrators want", () => {
    for (const status of statuses) {
      const { desiredStatus, assumed } = desiredOfLegacy[status];
      expect(desiredStatus).toBe(isEnabled(status) || failed.includes(status) ? "enabled" : "disabled");
      expect(assumed).toBe(["unknown", "constructed", "initialized"].includes(status));
    }
  });
});

test("each cause of a failure has a code of its own", () => {
  const codes = Object.values(failureMeanings).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  for (const { code, permanent } of Object.values(failureMeanings))
    expect(appCodes[code].retry).toBe(permanent ? "never" : "later");
});

describe("each request about apps", () => {
  test.each(Object.entries(appEndpoints))("%s has a schema for clients", (_, { request, reply }) => {
    expect(z.toJSONSchema(request, { io: "input" })).toHaveProperty("type", "object");
    expect(z.toJSONSchema(reply, { io: "output" })).toHaveProperty("type", "object");
  });

  test("changes may name the generation that they are based on", () => {
    for (const [name, { request, kind }] of Object.entries(appEndpoints)) {
      const isChange = kind === "write" && !["apps.adopt", "apps.reconcile", "apps.forget"].includes(name);
      expect("expectedGeneration" in request.shape).toBe(isChange);
    }
  });
});
