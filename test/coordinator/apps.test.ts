import { beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import { appsMax } from "../../src/contracts/app-limits.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AppFleet } from "../kit/app-fleet.js";
import { fleet } from "../kit/coordinators-world.js";
import { refusalOf } from "../kit/refusals.js";

let world: AppFleet;

beforeEach(async () => {
  world = await AppFleet.ready(3);
});

const dayMs = 86_400_000;

async function refused(request: Promise<unknown>) {
  return refusalOf(world.during(request));
}

describe("what is asked of an app", () => {
  test("reaches every instance, and the control plane knows what it came to there", async () => {
    await world.addApp("mail", { version: "1.2.0", settings: { greeting: "hello" } });
    await world.settled();
    expect(world.statusesOf("mail")).toEqual(["manually_enabled", "manually_enabled", "manually_enabled"]);
    expect(world.instance().engine.running.get("mail")).toBe("1.2.0");
    const app = await world.call("apps.get", { app: "mail" });
    expect(app).toMatchObject({
      generation: 1,
      desiredStatus: "enabled",
      counts: { total: 3, inSync: 3, mismatched: 0, unheard: 0 },
      conditions: { Ready: { status: true }, InSync: { status: true }, Reconciling: { status: false } },
      status: "manually_enabled",
    });
    await world.call("apps.disable", { app: "mail", by: "ann", reason: "incident 12" });
    await world.settled();
    expect(world.statusesOf("mail")).toEqual(["manually_disabled", "manually_disabled", "manually_disabled"]);
    await world.call("apps.set", { app: "mail", version: "1.3.0", by: "ann" });
    await world.call("apps.enable", { app: "mail", by: "ann" });
    await world.settled();
    expect(world.instance().engine.running.get("mail")).toBe("1.3.0");
    expect((await world.call("apps.list", {})).items.map(({ app: id }) => id)).toEqual(["mail"]);
    expect(world.events("app.disabled")[0]).toMatchObject({
      actor: "user:ann",
      data: { from: "enabled", to: "disabled", reason: "incident 12" },
    });
  });

  test("is one batch of the ledger: record, what is told, list and event", async () => {
    await world.addApp();
    const ledger = await world.during(
      world.store.open({ fleet, bus: world.hub.connect("test"), log: world.log }),
    );
    const entries = await world.during(ledger.readAll());
    const revisions = [keys.app("mail"), keys.desiredApp("mail"), keys.desiredApps].map(
      (key) => entries.find((entry) => entry.key === key)?.revision ?? 0,
    );
    expect(Math.max(...revisions) - Math.min(...revisions)).toBe(2);
    expect(entries.find(({ key }) => key === keys.desiredApps)?.value).toMatchObject({
      generation: 1,
      apps: { mail: 1 },
    });
  });

  test("that is so already changes nothing and is no error", async () => {
    await world.addApp();
    const before = world.events().length;
    expect(await world.call("apps.enable", { app: "mail", by: "bob", expectedGeneration: 77 })).toMatchObject(
      {
        generation: 1,
      },
    );
    await world.advance(50);
    expect(world.events("app.enabled")).toEqual([]);
    expect(world.events().filter(({ type }) => !type.includes("status")).length).toBe(before);
  });

  test("that is so already is said to be so only when the ledger has it", async () => {
    await world.addApp();
    const arrive = world.store.holdNextCommit(fleet);
    const answered: string[] = [];
    for (const by of ["ann", "bob"])
      world.ask("apps.disable", { app: "mail", by }).then(
        () => answered.push(`${by} is told so`),
        () => answered.push(`${by} is refused`),
      );
    await world.advance(2_000);
    expect(answered).toEqual([]);
    arrive();
    await world.until(() => answered.length === 2);
  });

  test("of an instance that was just taken out is refused only when the ledger has that", async () => {
    const arrive = world.store.holdNextCommit(fleet);
    const answered: string[] = [];
    for (const by of ["ann", "bob"])
      world.ask("apps.forget", { instance: "web-1", by }).then(
        () => answered.push(`${by} is told so`),
        () => answered.push(`${by} is refused`),
      );
    await world.advance(2_000);
    expect(answered).toEqual([]);
    arrive();
    await world.until(() => answered.length === 2);
  });

  test("is refused with the reason and the next step", async () => {
    const call = world.ask.bind(world);
    expect((await refused(call("apps.enable", { app: "mail" }))).code).toBe("UNKNOWN_APP");
    expect((await refused(call("apps.get", { app: "mail" }))).code).toBe("UNKNOWN_APP");
    expect((await refused(call("apps.reconcile", { app: "mail" }))).code).toBe("UNKNOWN_APP");
    expect((await refused(call("apps.forget", { instance: "web-9" }))).code).toBe("UNKNOWN_INSTANCE");
    await world.addApp();
    expect((await refused(call("apps.why", { app: "mail", instance: "web-9" }))).code).toBe(
      "UNKNOWN_INSTANCE",
    );
    expect(await refused(call("apps.add", { app: "mail", version: "2" }))).toMatchObject({
      code: "APP_EXISTS",
      message: expect.stringContaining("is there already, enabled"),
    });
    await world.call("apps.uninstall", { app: "mail" });
    expect((await refused(call("apps.set", { app: "mail", version: "2" }))).code).toBe("APP_UNINSTALLED");
  });

  test("by a second administrator who knows less is refused, and says who changed what, when and why", async () => {
    await world.addApp();
    await world.call("apps.disable", {
      app: "mail",
      by: "ann",
      reason: "incident 12",
      expectedGeneration: 1,
    });
    const request = { app: "mail", version: "2.0.0", by: "bob", expectedGeneration: 1 };
    expect(await refused(world.ask("apps.set", request))).toMatchObject({
      code: "GENERATION_MISMATCH",
      message: expect.stringContaining("ann has changed desiredStatus since (incident 12)"),
      details: { found: 2, expected: 1, by: "ann", changed: "desiredStatus", desiredStatus: "disabled" },
    });
    expect((await world.call("apps.get", { app: "mail" })).content.version).toBe("1.0.0");
    await world.call("apps.set", { ...request, expectedGeneration: 2 });
  });
});

test("a fleet holds a thousand apps, and whoever adds one more is told how a place is made free", async () => {
  world = await AppFleet.ready(0);
  const client = world.client("ann");
  const add = (app: string) => client.apps.add({ app, version: "1.0.0", by: "ann" });
  const adding = Array.from({ length: appsMax }, (_, n) => add(`app-${n}`));
  await world.during(Promise.all(adding));
  expect(await refused(add("one-more"))).toMatchObject({
    code: "TOO_MANY_APPS",
    message:
      "The fleet has 1000 apps, and cannot have more: uninstall one; its place is free when every instance has confirmed that.",
  });
  await world.during(client.apps.uninstall({ app: "app-7", by: "ann" }));
  await world.advance(31_000);
  expect(await world.during(add("one-more"))).toMatchObject({ app: "one-more" });
});

describe("a request that is repeated", () => {
  test("is answered as at first and changes nothing, whoever leads and whatever others have asked since", async () => {
    await world.addApp("mail", { requestKey: "k1" });
    const disable = { app: "mail", by: "ann", requestKey: "k2", expectedGeneration: 1 };
    const first = await world.call("apps.disable", disable);
    await world.call("apps.enable", { app: "mail", by: "bob" });
    await world.call("apps.set", { app: "mail", version: "2.0.0", by: "bob" });
    const answer = {
      generation: first.generation,
      desiredStatus: "disabled",
      content: first.content,
      changed: { by: "bob" },
    };
    expect(await world.call("apps.disable", disable)).toMatchObject(answer);
    await world.startCoordinator("c2");
    world.serve("c2");
    await world.stopCoordinator("c1");
    await world.untilLed();
    expect(await world.call("apps.disable", disable)).toMatchObject(answer);
    expect(await world.call("apps.add", { app: "mail", version: "1.0.0", requestKey: "k1" })).toMatchObject({
      generation: 1,
      desiredStatus: "enabled",
    });
    expect(await world.call("apps.get", { app: "mail" })).toMatchObject({
      generation: 4,
      desiredStatus: "enabled",
    });
    expect(world.events("app.disabled")).toHaveLength(1);
  });

  test("to try everything again is carried out once, also while the first is under way", async () => {
    world.instance("web-2").engine.fates.set("mail enable", new AppError("license", "it is over"));
    await world.addApp();
    await world.advance(5_000);
    const ask = () => world.ask("apps.reconcile", { by: "ann", requestKey: "k" });
    const [first, second] = await world.during(Promise.all([ask(), ask()]));
    expect(first).toMatchObject({ found: 1, retried: 1 });
    expect(second).toEqual(first);
    await world.advance(1_000);
    world.instance("web-2").engine.fates.delete("mail enable");
    await world.call("apps.reconcile", { by: "ann" });
    await world.settled();
    expect(await world.call("apps.reconcile", { by: "ann", requestKey: "k" })).toEqual(first);
    expect(world.events("app.reconciled")).toHaveLength(2);
  });
});

test("a list whose settings are too large for one message comes in pages, and history in short", async () => {
  const settings = { text: "漢".repeat(16_000) };
  for (let n = 0; n < 30; n++) await world.addApp(`app-${n}`, { settings, desiredStatus: "disabled" });
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof world.call<"apps.list">>> = await world.call("apps.list", {
      limit: 500,
      after,
    });
    expect(Buffer.byteLength(JSON.stringify(page))).toBeLessThan(1_000_000);
    seen.push(...page.items.map(({ app }) => app));
    after = page.next;
  } while (after !== null);
  expect(seen).toEqual(Array.from({ length: 30 }, (_, n) => `app-${n}`));
  await world.call("apps.set", { app: "app-1", settings: { text: "漢".repeat(15_000) } });
  const { items } = await world.call("apps.history", { app: "app-1" });
  expect(Buffer.byteLength(JSON.stringify(items.at(-1)))).toBeLessThan(4_000);
});

test("two administrators fight: the last that was acknowledged wins everywhere", async () => {
  await world.addApp();
  for (let n = 0; n < 20; n++) {
    await world.call(n % 2 === 0 ? "apps.disable" : "apps.enable", {
      app: "mail",
      by: n % 2 ? "ann" : "bob",
    });
    await world.advance((n * 37) % 60);
  }
  await world.settled();
  expect(world.statusesOf("mail")).toEqual(Array(3).fill("manually_enabled"));
  expect(await world.call("apps.get", { app: "mail" })).toMatchObject({
    generation: 21,
    desiredStatus: "enabled",
  });
});

describe("a broadcast that is lost", () => {
  test("heals by the next report, long before the list is read anyway", async () => {
    await world.addApp();
    await world.settled();
    const lost = world.hub.drop(({ subject }) => subject.includes(".desired.app."));
    await world.call("apps.disable", { app: "mail" });
    await world.advance(100);
    lost.unsubscribe();
    expect(world.statusesOf("mail")).toEqual(Array(3).fill("manually_enabled"));
    expect((await world.call("apps.why", { app: "mail", instance: "web-1" })).sentence).toContain(
      "has not taken up yet that mail is to be disabled",
    );
    await world.settled(9_000);
    expect(world.statusesOf("mail")).toEqual(Array(3).fill("manually_disabled"));
  });

  test("and reports that are lost are asked for", async () => {
    const lost = world.hub.drop(({ subject }) => subject.endsWith(".apps.web-2"));
    await world.addApp();
    await world.advance(1_000);
    lost.unsubscribe();
    await world.settled(6_000);
    expect(world.events("app.status").filter(({ data }) => data.instance === "web-2")).toHaveLength(1);
  });
});

test("an instance that joins starts from the record; one that restarts says so", async () => {
  await world.addApp();
  await world.join("web-4");
  await world.settled();
  expect(world.statusesOf("mail")[3]).toBe("auto_enabled");
  world.killInstance("web-1");
  await world.startInstance("web-1");
  await world.advance(1_000);
  await world.settled();
  expect(world.statusesOf("mail")[0]).toBe("auto_enabled");
  const ofWeb1 = world.events("app.status").filter(({ data }) => data.instance === "web-1");
  expect(ofWeb1.map(({ data }) => [data.from, data.to, data.cause])).toEqual([
    ["unknown", "manually_enabled", "told"],
    ["manually_enabled", "auto_enabled", "started"],
  ]);
  expect(world.events("app-instance.joined")).toHaveLength(4);
});

describe("what fails on one instance", () => {
  beforeEach(async () => {
    const fate = new AppError("license", "it ended yesterday");
    world.instance("web-2").engine.fates.set("mail enable", fate);
    await world.addApp();
    await world.advance(1_000);
  });

  test("is a mismatch there alone, with both statuses and the reason", async () => {
    const { items, counts } = await world.call("apps.status", {});
    expect(counts).toEqual({ total: 3, inSync: 2, mismatched: 1, unheard: 0 });
    expect(items).toMatchObject([
      {
        instanceId: "web-2",
        desiredStatus: "enabled",
        initStatus: "invalid_license_disabled",
        inSync: false,
        reason: { code: "APP_LICENSE_INVALID" },
        attempts: 1,
        nextAttemptAtMs: null,
      },
    ]);
    expect(await world.rows()).toHaveLength(3);
    expect(await world.rows({ instance: "web-1" })).toMatchObject([{ instanceId: "web-1", inSync: true }]);
    const { sentence } = await world.call("apps.why", { app: "mail", instance: "web-2" });
    expect(sentence).toContain("it ended yesterday");
  });

  test("the matrix comes a page at a time", async () => {
    await world.addApp("chat");
    await world.advance(1_000);
    const seen: string[] = [];
    let after: { app: string; instance: string } | null = null;
    do {
      const page: Awaited<ReturnType<typeof world.call<"apps.status">>> = await world.call("apps.status", {
        all: true,
        limit: 4,
        after,
      });
      expect(page.counts).toMatchObject({ total: 6 });
      seen.push(...page.items.map(({ app, instanceId }) => `${app} ${instanceId}`));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual(["chat", "mail"].flatMap((app) => [1, 2, 3].map((n) => `${app} web-${n}`)));
  });

  test("with the same cause on many instances leaves room for other causes and other apps", async () => {
    for (const { engine } of world.instances.values())
      engine.fates.set("chat enable", new AppError("compiler", "unexpected token"));
    world.instance("web-3").engine.fates.set("chat initialize", new AppError("settings", "no host"));
    await world.addApp("chat");
    await world.advance(1_000);
    const { items, counts, next } = await world.call("apps.status", { perCause: 1 });
    expect(items.map(({ app, instanceId, cause }) => [app, instanceId, cause])).toEqual([
      ["chat", "web-1", { name: "APP_COMPILER_ERROR", instances: 2 }],
      ["chat", "web-3", { name: "APP_SETTINGS_INVALID", instances: 1 }],
      ["mail", "web-2", { name: "APP_LICENSE_INVALID", instances: 1 }],
    ]);
    expect([counts.mismatched, next]).toEqual([4, null]);
  });

  test("is tried again when somebody asks, and counted by its cause", async () => {
    world.instance("web-2").engine.fates.delete("mail enable");
    await world.advance(60_000);
    expect((await world.call("apps.status", {})).counts.mismatched).toBe(1);
    const report = await world.call("apps.reconcile", { by: "ann", reason: "the licence is renewed" });
    expect(report).toEqual({
      found: 1,
      told: 0,
      retried: 1,
      left: 0,
      unreachable: [],
      byCause: { APP_LICENSE_INVALID: 1 },
    });
    await world.settled();
    expect(world.events("app.reconciled")).toMatchObject([{ actor: "user:ann", data: { retried: 1 } }]);
    expect(await world.call("apps.reconcile", {})).toMatchObject({ found: 0, retried: 0 });
  });

  test("is said of those that do not answer", async () => {
    const lost = world.hub.drop(({ subject }) => subject.endsWith("apps-ask.web-2.retry"));
    expect(await world.call("apps.reconcile", { app: "mail", instance: "web-2" })).toMatchObject({
      found: 1,
      retried: 0,
      unreachable: ["web-2"],
    });
    lost.unsubscribe();
  });
});

describe("alerts", () => {
  test("begin once when it lasts, outlive the leader, and end once", async () => {
    world.instance("web-2").engine.fates.set("mail enable", new AppError("compiler", "unexpected token"));
    await world.addApp();
    await world.advance(9 * 60_000);
    expect(world.events("app.mismatched")).toEqual([]);
    await world.advance(2 * 60_000);
    expect(world.events("app.mismatched")).toMatchObject([
      {
        actor: "rule:apps",
        subject: "app/mail",
        data: {
          instance: "web-2",
          standing: "stopped",
          reason: { code: "APP_COMPILER_ERROR", message: expect.stringContaining("unexpected token") },
          link: "docs/troubleshooting.md#app_compiler_error",
        },
      },
    ]);
    expect((await world.call("status.get", {})).apps).toEqual({
      apps: 1,
      instances: 3,
      alerts: 1,
      alerted: [{ app: "mail", instances: 1, causes: ["APP_COMPILER_ERROR"] }],
      unasked: 0,
    });
    await world.startCoordinator("c2");
    await world.stopCoordinator("c1");
    await world.untilLed();
    await world.advance(20 * 60_000);
    expect(world.events("app.mismatched")).toHaveLength(1);
    expect((await world.rows({ instance: "web-2" }))[0]?.alerted).toBe(true);
    world.instance("web-2").engine.fates.delete("mail enable");
    await world.call("apps.set", { app: "mail", version: "1.0.1" });
    await world.advance(2 * 60_000);
    expect(world.events("app.matched")).toMatchObject([{ data: { instance: "web-2", because: "inSync" } }]);
    expect((await world.rows({ instance: "web-2" }))[0]?.alerted).toBe(false);
  });

  test("are about nobody who is silent", async () => {
    await world.addApp();
    await world.settled();
    world.killInstance("web-3");
    await world.call("apps.disable", { app: "mail" });
    await world.advance(30 * 60_000);
    expect(world.events("app.mismatched")).toEqual([]);
    expect((await world.call("apps.status", {})).counts).toEqual({
      total: 3,
      inSync: 2,
      mismatched: 0,
      unheard: 1,
    });
    expect((await world.rows({ instance: "web-3" }))[0]).toMatchObject({ inSync: null });
  });
});

describe("a tombstone", () => {
  test("goes when every known instance has confirmed it, and the app can come back as new", async () => {
    await world.addApp();
    await world.settled();
    world.killInstance("web-3");
    await world.call("apps.uninstall", { app: "mail", by: "ann" });
    await world.advance(10 * 60_000);
    expect((await world.call("apps.list", {})).items).toEqual([]);
    const [tombstone] = (await world.call("apps.list", { uninstalled: true })).items;
    expect(tombstone).toMatchObject({ desiredStatus: "uninstalled", why: { blocking: ["web-3"] } });
    await world.startInstance("web-3");
    await world.advance(60_000);
    expect((await world.call("apps.list", { uninstalled: true })).items).toEqual([]);
    expect(world.events("app.cleared")).toMatchObject([{ actor: "rule:apps", data: { confirmed: 3 } }]);
    expect([...world.instances.values()].map(({ engine }) => engine.files.size)).toEqual([0, 0, 0]);
    const generation = world.events("app.cleared")[0]?.generation ?? 0;
    await world.addApp();
    await world.settled();
    expect((await world.call("apps.get", { app: "mail" })).generation).toBeGreaterThan(generation);
  });

  test("does not wait for an instance that has left, is taken out, or was silent for a day", async () => {
    // So long a lease that a day passes fast.
    world = await AppFleet.ready(3, { leaseMs: dayMs });
    await world.addApp();
    await world.settled();
    await world.stopInstance("web-1", { leave: true });
    world.killInstance("web-2");
    world.killInstance("web-3");
    await world.call("apps.uninstall", { app: "mail" });
    await world.advance(60_000);
    await world.call("apps.forget", { instance: "web-2", by: "ann" });
    await world.advance(60_000);
    expect((await world.call("apps.list", { uninstalled: true })).items).toHaveLength(1);
    await world.advance(dayMs);
    expect((await world.call("apps.list", { uninstalled: true })).items).toEqual([]);
    expect(world.events("app-instance.left").map(({ data }) => data.why)).toEqual([
      "removed by instance web-1: it has left the fleet",
      "removed by ann",
      "it was not heard for a day",
    ]);
  });

  test("that was cleared is uninstalled by an instance that stops before it could be, once it is back", async () => {
    await world.addApp();
    await world.settled();
    world.killInstance("web-3");
    await world.call("apps.uninstall", { app: "mail" });
    await world.call("apps.forget", { instance: "web-3" });
    await world.advance(60_000);
    const { engine } = world.instance("web-3");
    engine.fates.set("mail uninstall", [new AppError("error", "a file is in use")]);
    await world.startInstance("web-3");
    await world.advance(500);
    expect(engine.calls.at(-1)).toBe("uninstall mail");
    await world.stopInstance("web-3");
    engine.calls.length = 0;
    await world.startInstance("web-3");
    await world.advance(10_000);
    expect(engine.calls).toEqual(["uninstall mail"]);
    expect(world.instance("web-3").agent.states()).toEqual([]);
  });

  test("that was cleared is not run by an instance that comes back after it was given up", async () => {
    await world.addApp();
    await world.settled();
    world.killInstance("web-3");
    await world.call("apps.uninstall", { app: "mail" });
    await world.call("apps.forget", { instance: "web-3" });
    await world.advance(60_000);
    expect((await world.call("apps.list", { uninstalled: true })).items).toEqual([]);
    await world.startInstance("web-3");
    await world.advance(60_000);
    expect(world.instance("web-3").engine.running.size).toBe(0);
    expect(world.instance("web-3").agent.states()).toEqual([]);
  });
});

test("reports that are no reports are dropped, whatever stands in them", async () => {
  await world.addApp();
  await world.settled();
  const bus = world.hub.connect("stranger");
  const { apps } = subjectsOf(fleet);
  for (const text of [
    "",
    "[]",
    "{}",
    "null",
    '{"format":2,"instance":"web-1"}',
    '{"format":1,"instance":"web-2"}',
  ])
    bus.publish(apps("web-1"), text);
  await world.advance(10_000);
  await world.settled();
  expect(world.leader().leads()).toBe(true);
});
