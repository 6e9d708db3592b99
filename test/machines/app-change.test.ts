import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AppAsking,
  type AppsNow,
  type AppWish,
  changeOf,
  isTold,
  listWithout,
  tellingOf,
} from "../../machines/app-change.js";
import { RollcallError } from "../../src/base/errors.js";
import { type AppList, type AppRecord, appRecordSchema } from "../../src/contracts/app.js";
import { appRequestsMax, appsMax } from "../../src/contracts/app-limits.js";
import { appInstance, appState } from "./app-samples.js";

const teller = { ledgerId: "l1", epoch: 1 };
const content = { version: "1.0.0", source: null, settings: {} };
const add: AppWish = { type: "add", content, desiredStatus: "disabled", legacyStatus: null };

function asking(more: Partial<AppAsking> = {}): AppAsking {
  return { app: "mail", mark: { by: "ann", atMs: 1, reason: null }, requestKey: null, ...more };
}

/** Apps that change as the coordinator has them change. */
class Apps implements AppsNow {
  readonly records = new Map<string, AppRecord>();
  list: AppList | undefined;

  ask(wish: AppWish, more: Partial<AppAsking> = {}) {
    const outcome = changeOf(this, wish, asking(more));
    if (outcome.kind !== "same") this.list = tellingOf(this, outcome.record, teller).list;
    this.records.set(outcome.record.app, outcome.record);
    return outcome;
  }

  clear(app: string): void {
    this.list = listWithout(this, [app], teller);
    this.records.delete(app);
  }

  restore(): void {
    this.list = undefined;
  }
}

const found = [{ one: appInstance([appState()]), state: appState({ version: "2.0.0" }) }];

describe("what becomes of what is asked of an app that no record knows, and that is on an instance all the same", () => {
  const wanted = { version: "2.0.0", source: "./mail", settings: { a: 1 } };
  const adopt = { desiredStatus: "enabled", content: wanted, instance: "web-1" } as const;

  test("it is adopted as it is there, and asked for from then on", () => {
    const apps = new Apps();
    apps.ask(add, { app: "chat" });
    expect(apps.ask({ type: "adopt", found: adopt }, { found, requestKey: "k" })).toMatchObject({
      kind: "changed",
      record: { generation: 2, desiredStatus: "enabled", content: wanted },
      happening: { type: "app.added", data: { from: null, to: "enabled", instance: "web-1" } },
    });
    expect(apps.ask({ type: "adopt", found: adopt }, { requestKey: "k" }).kind).toBe("same");
    expect(() => apps.ask({ type: "adopt", found: adopt })).toThrow(/is there already, enabled/);
    apps.ask({ type: "uninstall" });
    expect(() => apps.ask({ type: "adopt", found: adopt })).toThrow(/is uninstalled/);
  });

  test("it is uninstalled by a tombstone, of the version that is there", () => {
    const apps = new Apps();
    const outcome = apps.ask({ type: "uninstall" }, { found });
    expect(outcome).toMatchObject({
      kind: "changed",
      record: { generation: 1, desiredStatus: "uninstalled", content: { version: "2.0.0", source: null } },
      happening: { type: "app.uninstalled", data: { from: "asked for by nobody", to: "uninstalled" } },
    });
    expect(appRecordSchema.parse(outcome.record)).toEqual(outcome.record);
    expect(apps.list).toMatchObject({ apps: { mail: 1 } });
    apps.clear("mail");
    expect(() => apps.ask({ type: "uninstall" })).toThrow(/There is no app mail/);
  });

  test("its version need not be known for that", () => {
    const state = appState({ version: null });
    const { record } = new Apps().ask(
      { type: "uninstall" },
      { found: [{ one: appInstance([state]), state }] },
    );
    expect(appRecordSchema.parse(record)).toEqual(record);
  });

  test("one that an instance removes already is not adopted, nor one for which there is no place", () => {
    const apps = new Apps();
    const gone = { ...adopt, desiredStatus: "uninstalled" } as const;
    expect(() => apps.ask({ type: "adopt", found: gone }, { found })).toThrow(/is uninstalled/);
    for (let n = 0; n < appsMax; n++) apps.ask(add, { app: `a${n}` });
    for (const wish of [{ type: "adopt", found: adopt }, { type: "uninstall" }] as const)
      expect(() => apps.ask(wish, { found })).toThrow(expect.objectContaining({ code: "TOO_MANY_APPS" }));
  });

  test.each(["enable", "disable"] as const)("to %s it is refused with where it is", (type) => {
    expect(() => new Apps().ask({ type }, { found })).toThrow(
      expect.objectContaining({
        code: "APP_UNASKED",
        message: expect.stringContaining("yet it is on web-1:"),
      }),
    );
  });
});

describe("what becomes of what is asked of an app", () => {
  test("each change is a generation more, with its previous value in its event", () => {
    const apps = new Apps();
    expect(apps.ask(add)).toMatchObject({
      kind: "changed",
      record: { generation: 1, desiredStatus: "disabled" },
      happening: { type: "app.added", data: { from: null, to: "disabled", version: "1.0.0" } },
    });
    expect(apps.ask({ type: "enable" })).toMatchObject({
      record: { generation: 2, desiredStatus: "enabled", changedIn: { desiredStatus: 2, version: 1 } },
      happening: { type: "app.enabled", data: { from: "disabled", to: "enabled" } },
    });
    expect(apps.ask({ type: "set", change: { version: "1.1.0", settings: { a: 1 } } })).toMatchObject({
      record: { generation: 3, content: { version: "1.1.0", source: null, settings: { a: 1 } } },
      happening: {
        type: "app.changed",
        data: { changed: "version, settings", from: { version: "1.0.0", settings: {} } },
      },
    });
    expect(apps.list).toMatchObject({ generation: 3, apps: { mail: 3 } });
  });

  test("what is so already changes nothing, whatever generation was expected, and is told if it was not yet", () => {
    const apps = new Apps();
    apps.ask(add);
    apps.ask({ type: "enable" });
    expect(apps.ask({ type: "enable" }, { expectedGeneration: 1 }).kind).toBe("same");
    expect(apps.ask({ type: "set", change: { version: "1.0.0" } }).kind).toBe("same");
    apps.restore();
    expect(isTold(apps, "mail")).toBe(false);
    expect(apps.ask({ type: "enable" })).toMatchObject({ kind: "untold", record: { generation: 2 } });
    expect(isTold(apps, "mail")).toBe(true);
  });

  test("a repeat of a request is answered by what it came to", () => {
    const apps = new Apps();
    apps.ask(add, { requestKey: "k" });
    expect(apps.ask(add, { requestKey: "k" })).toMatchObject({ kind: "same", record: { generation: 1 } });
    expect(() => apps.ask(add, { requestKey: "other" })).toThrow(/is there already, disabled/);
  });

  test("a repeat of an older request is answered as it was, whatever others have asked since", () => {
    const apps = new Apps();
    apps.ask(add, { requestKey: "k1" });
    apps.ask({ type: "enable" }, { requestKey: "k2", expectedGeneration: 1 });
    apps.ask({ type: "disable" }, { requestKey: "k3" });
    apps.ask({ type: "set", change: { version: "2.0.0" } });
    const repeated = apps.ask({ type: "enable" }, { requestKey: "k2", expectedGeneration: 1 });
    expect(repeated).toMatchObject({
      kind: "same",
      record: { generation: 4, desiredStatus: "disabled" },
      repeated: { key: "k2", generation: 2, desiredStatus: "enabled", version: "1.0.0" },
    });
    apps.ask({ type: "uninstall" });
    apps.ask(add);
    expect(apps.ask(add, { requestKey: "k1" })).toMatchObject({ kind: "same", repeated: { generation: 1 } });
  });

  test("so many requests of an app are known again, and the oldest is the first to be forgotten", () => {
    const apps = new Apps();
    for (let n = 1; n <= appRequestsMax + 1; n++)
      apps.ask(n === 1 ? add : { type: "set", change: { version: `1.${n}` } }, { requestKey: `k${n}` });
    expect(apps.records.get("mail")?.requests).toHaveLength(appRequestsMax);
    const set: AppWish = { type: "set", change: { version: "9" } };
    expect(apps.ask(set, { requestKey: "k2" })).toMatchObject({ kind: "same", repeated: { generation: 2 } });
    expect(apps.ask(set, { requestKey: "k1" })).toMatchObject({ kind: "changed" });
  });

  test("who knows an older generation is told who changed what since, and why", () => {
    const apps = new Apps();
    apps.ask(add);
    const mark = { by: "bob", atMs: 7, reason: "incident 12" };
    apps.ask({ type: "set", change: { version: "2.0.0" } });
    apps.ask({ type: "enable" }, { mark });
    const refused = () => apps.ask({ type: "disable" }, { expectedGeneration: 1 });
    expect(refused).toThrow(
      "App mail is at generation 3, not 1: bob has changed desiredStatus, version since (incident 12). Look at it by rollcall apps show mail, and ask again with the new generation.",
    );
    expect(refused).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ by: "bob", atMs: 7, found: 3 }) }),
    );
    expect(apps.ask({ type: "disable" }, { expectedGeneration: 3 })).toMatchObject({ kind: "changed" });
  });

  test("what is uninstalled can only be added again; what is not there, only added", () => {
    const apps = new Apps();
    expect(() => apps.ask({ type: "enable" })).toThrow(/no app mail/);
    apps.ask(add);
    apps.ask({ type: "uninstall" });
    expect(() => apps.ask({ type: "enable" })).toThrow(/is uninstalled: bring it back/);
    expect(() => apps.ask({ type: "set", change: { version: "3" } })).toThrow(/is uninstalled/);
    expect(apps.ask({ type: "uninstall" }).kind).toBe("same");
    expect(apps.ask(add)).toMatchObject({
      record: { generation: 3 },
      happening: { data: { from: "uninstalled" } },
    });
  });

  test("a fleet has a bound of apps, tombstones among them", () => {
    const apps = new Apps();
    for (let n = 0; n < appsMax; n++) apps.ask(add, { app: `a${n}` });
    expect(() => apps.ask(add)).toThrow(expect.objectContaining({ code: "TOO_MANY_APPS" }));
    expect(apps.ask({ type: "enable" }, { app: "a1" }).kind).toBe("changed");
  });
});

test("long settings are cut in events, so that a page of them fits a message", () => {
  const apps = new Apps();
  apps.ask(add);
  const outcome = apps.ask({ type: "set", change: { settings: { text: "x".repeat(16_000) } } });
  expect(JSON.stringify(outcome).includes("x".repeat(16_000))).toBe(true);
  if (outcome.kind !== "changed") throw new Error("it is another one");
  expect(JSON.stringify(outcome.happening).length).toBeLessThan(600);
});

test("whoever asks what in which order, each of the newest requests that is repeated changes nothing and is answered as at first", () => {
  const wish = fc.constantFrom<AppWish>(
    add,
    { type: "enable" },
    { type: "disable" },
    { type: "uninstall" },
    { type: "set", change: { version: "2.0.0" } },
    { type: "set", change: { version: "3.0.0" } },
  );
  const act = fc.record({ wish, stale: fc.boolean(), again: fc.option(fc.nat(appRequestsMax - 1)) });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60, size: "max" }), (acts) => {
      const apps = new Apps();
      const made: { key: string; asked: AppWish; expectedGeneration: number | undefined; answer: object }[] =
        [];
      for (const [at, { wish: asked, stale, again }] of acts.entries()) {
        const earlier = again === null ? undefined : made.at(-1 - again);
        if (earlier !== undefined) {
          const before = apps.records.get("mail");
          const { key: requestKey, expectedGeneration } = earlier;
          const outcome = apps.ask(earlier.asked, { requestKey, expectedGeneration });
          expect(outcome).toMatchObject({ kind: "same", repeated: earlier.answer });
          expect(apps.records.get("mail")).toBe(before);
          continue;
        }
        const key = `k${at}`;
        const expectedGeneration = stale ? 1 : undefined;
        try {
          const { kind, record } = apps.ask(asked, { requestKey: key, expectedGeneration });
          if (kind !== "changed") continue;
          const { generation, desiredStatus, content: has } = record;
          const answer = { generation, desiredStatus, version: has.version };
          made.push({ key, asked, expectedGeneration, answer });
        } catch (error) {
          if (!(error instanceof RollcallError)) throw error;
        }
      }
    }),
  );
});

test("whatever is asked, cleared and restored, no generation of an app comes twice, and none is above that of the list", () => {
  const app = fc.constantFrom("a", "b", "c");
  const wishes: AppWish[] = [add, { type: "enable" }, { type: "uninstall" }, { type: "uninstall" }];
  const act = fc.oneof(
    { weight: 12, arbitrary: fc.record({ app, wish: fc.constantFrom(...wishes) }) },
    { weight: 6, arbitrary: fc.record({ app, wish: fc.constant("clear" as const) }) },
    { weight: 1, arbitrary: fc.record({ app, wish: fc.constant("restore" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60, size: "max" }), (acts) => {
      const apps = new Apps();
      const highest = new Map<string, number>();
      for (const { app: id, wish } of acts) {
        if (wish === "restore") {
          apps.restore();
          // Another ledger: what it says is newer by that.
          highest.clear();
          continue;
        }
        if (wish === "clear") {
          if (apps.records.get(id)?.desiredStatus === "uninstalled" && isTold(apps, id)) apps.clear(id);
          continue;
        }
        const listBefore = apps.list?.generation ?? 0;
        try {
          const outcome = apps.ask(wish, { app: id });
          expect(appRecordSchema.safeParse(outcome.record).success).toBe(true);
          if (outcome.kind === "changed") {
            expect(outcome.record.generation).toBeGreaterThan(highest.get(id) ?? 0);
            highest.set(id, outcome.record.generation);
          }
          if (outcome.kind !== "same") expect(apps.list?.generation).toBeGreaterThan(listBefore);
        } catch (error) {
          if (!(error instanceof RollcallError)) throw error;
        }
        for (const { generation } of apps.records.values())
          if (apps.list !== undefined) expect(generation).toBeLessThanOrEqual(apps.list.generation);
      }
    }),
  );
});
