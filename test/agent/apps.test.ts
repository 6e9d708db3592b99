import { describe, expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import { appReportSchema } from "../../src/contracts/app-report.js";
import { isEnabled } from "../../src/contracts/app-status.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AppWorld, fleet, ledgerId } from "./app-kit.js";

async function worldOf(agent: NonNullable<ConstructorParameters<typeof AppWorld>[0]>["agent"] = {}) {
  const world = new AppWorld({ agent });
  await world.join("i1");
  await world.until(() => world.instance().ear.report !== undefined);
  return world;
}

async function enabled(): Promise<AppWorld> {
  const world = await worldOf();
  world.ask("mail", "enabled");
  await world.settle();
  // It has read the list that it heard of.
  await world.clock.advance(200);
  return world;
}

describe("what is asked", () => {
  test("is done and said: enabled, disabled, another version, other settings, uninstalled", async () => {
    const world = await worldOf();
    const { engine } = world.instance();
    world.ask("mail", "enabled");
    await world.settle(1_000);
    expect(world.statusOf("mail")).toBe("manually_enabled");
    expect(engine.calls.splice(0)).toEqual(["install mail", "initialize mail", "enable mail"]);
    world.ask("mail", "disabled");
    await world.settle(1_000);
    expect(world.statusOf("mail")).toBe("manually_disabled");
    expect(engine.calls.splice(0)).toEqual(["disable mail"]);
    world.ask("mail", "enabled", { version: "2.0.0" });
    await world.settle(1_000);
    expect(engine.calls.splice(0)).toEqual(["install mail", "initialize mail", "enable mail"]);
    world.ask("mail", "enabled", { version: "2.0.0", settings: { a: 1 } });
    await world.settle(1_000);
    expect(engine.calls.splice(0)).toEqual(["disable mail", "initialize mail", "enable mail"]);
    world.ask("mail", "uninstalled");
    await world.settle(1_000);
    expect(engine.calls.splice(0)).toEqual(["disable mail", "uninstall mail"]);
    expect(world.instance().ear.states.get("mail")).toMatchObject({ installed: false, generation: 5 });
  });

  test("statuses that an app only passes through share the report of where it comes to rest", async () => {
    const world = await worldOf();
    world.ask("mail", "disabled");
    await world.settle(1_000);
    const { ear } = world.instance();
    const before = ear.reports;
    world.ask("mail", "enabled");
    await world.clock.advance(100);
    expect(world.statusOf("mail")).toBe("manually_enabled");
    expect(ear.reports - before).toBe(1);
  });

  test("a status that lasts is said soon, though the app only passes through it", async () => {
    const world = await worldOf();
    world.instance().engine.fates.set("mail enable", "hang");
    world.ask("mail", "enabled");
    await world.clock.advance(1_000);
    expect(world.statusOf("mail")).toBe("initialized");
  });

  test("a disabled app is never loaded, not even by an instance that starts", async () => {
    const world = new AppWorld();
    world.ask("mail", "disabled");
    await world.clock.advance(10);
    await world.join("i1");
    await world.untilStatus("mail", "disabled");
    expect(world.instance().engine.calls).toEqual([]);
  });

  test("is read by an instance that starts: what was asked before it was there is enabled by itself", async () => {
    const world = new AppWorld();
    for (const app of ["a", "b", "c"]) world.ask(app, "enabled");
    await world.clock.advance(10);
    await world.join("i1");
    await world.settle(1_000);
    expect(world.statusOf("b")).toBe("auto_enabled");
  });

  test("a missed broadcast heals by the next one", async () => {
    const world = await enabled();
    world.ask("mail", "disabled", { heard: false });
    await world.clock.advance(1_000);
    expect(world.statusOf("mail")).toBe("manually_enabled");
    world.ask("other", "enabled");
    await world.settle(1_000);
  });

  test("a missed broadcast heals without another one, by the list", async () => {
    const world = await enabled();
    world.ask("mail", "disabled", { heard: false });
    await world.settle(61_000);
  });

  test("a missed broadcast heals at once when a coordinator says what there is", async () => {
    const world = await enabled();
    world.ask("mail", "disabled", { heard: false });
    const { generation } = world.instance().ear.report ?? { generation: 0 };
    await world.request("i1", "report", { generation: generation + 1, epoch: 1, ledgerId });
    await world.settle(1_000);
  });

  test("a reconnect reads what was missed", async () => {
    const world = await enabled();
    world.hub.disconnect("i1-1");
    world.ask("mail", "disabled", { heard: false });
    await world.clock.advance(1_000);
    world.hub.reconnect("i1-1");
    await world.settle(2_000);
  });

  test("a tombstone that was cleared while an instance was away is uninstalled there all the same", async () => {
    const world = await enabled();
    await world.kill("i1");
    world.ask("mail", "uninstalled");
    world.clear("mail");
    await world.start("i1");
    const { engine, ear } = world.instance();
    await world.until(() => engine.files.size === 0 && ear.isComplete && ear.states.size === 0, 5_000);
    expect(engine.running.size).toBe(0);
    expect(await world.instance().records.load("app")).toEqual([]);
  });

  test("an app that a restored ledger has never heard of is kept as it runs, and said to be unknown", async () => {
    const world = await enabled();
    world.newLedger("m2000000000000-b");
    await world.until(() => world.instance().ear.states.get("mail")?.generation === 0, 70_000);
    expect(world.instance().engine.running.has("mail")).toBe(true);
    world.ask("mail", "disabled", { ledgerId: "m2000000000000-b" });
    await world.untilStatus("mail", "manually_disabled");
    world.ask("mail", "enabled", { ledgerId });
    await world.clock.advance(2_000);
    expect(world.statusOf("mail")).toBe("manually_disabled");
  });

  test("what cannot be understood, or is of a newer format, is left out and counted", async () => {
    const world = await enabled();
    world.ledger.put(keys.desiredApp("mail"), { format: 1, app: "mail" });
    world.ledger.put(keys.desiredApp("mail"), { ...world.desired.get("mail"), format: 2 });
    world.ledger.put(keys.desiredApp("mail"), { ...world.desired.get("mail"), app: "other" });
    await world.clock.advance(1_000);
    const { complaints } = world.instance().agent.stats;
    expect(complaints).toMatchObject({ desiredGarbage: 2, desiredNewer: 1 });
    expect(world.statusOf("mail")).toBe("manually_enabled");
  });
});

describe("what fails", () => {
  test.each([
    ["compiler", "compiler_error_disabled", "APP_COMPILER_ERROR", true],
    ["license", "invalid_license_disabled", "APP_LICENSE_INVALID", true],
    ["settings", "invalid_settings_disabled", "APP_SETTINGS_INVALID", true],
    ["installation", "invalid_installation_disabled", "APP_INSTALLATION_INVALID", false],
    ["error", "error_disabled", "APP_FAILED", false],
  ] as const)("for the cause %s it is %s", async (cause, status, code, permanent) => {
    const world = await worldOf();
    const { engine, ear } = world.instance();
    engine.fates.set("mail initialize", new AppError(cause, "so it is"));
    world.ask("mail", "enabled");
    await world.untilStatus("mail", status);
    const state = ear.states.get("mail");
    expect(state?.reason).toMatchObject({ code, message: expect.stringContaining("so it is") });
    expect(state?.nextAttemptAtMs === null).toBe(permanent);
    expect(state?.stopped).toBe(permanent);
    await world.clock.advance(3_600_000);
    const tries = engine.calls.filter((call) => call === "initialize mail").length;
    expect(tries > 10).toBe(!permanent);
    expect(tries).toBeLessThan(30);
    // Put right: a permanent one waits until somebody asks.
    engine.fates.clear();
    if (permanent) {
      await world.clock.advance(600_000);
      expect(world.statusOf("mail")).toBe(status);
      expect(await world.request("i1", "retry", { apps: null })).toEqual({ retried: ["mail"], left: [] });
    }
    await world.settle(300_000);
    expect(ear.states.get("mail")).toMatchObject({ reason: null, nextAttemptAtMs: null });
  });

  test("a permanent cause is tried again when the settings change", async () => {
    const world = await worldOf();
    const { engine } = world.instance();
    engine.fates.set("mail initialize", [new AppError("settings", "no host")]);
    world.ask("mail", "enabled");
    await world.untilStatus("mail", "invalid_settings_disabled");
    world.ask("mail", "enabled", { settings: { host: "localhost" } });
    await world.settle(1_000);
  });

  test("a call that hangs is given up after its limit, told to stop, and tried again", async () => {
    const world = await worldOf({ limitsMs: { enable: 2_000 }, reportIntervalMs: 60_000 });
    const { engine, ear } = world.instance();
    engine.fates.set("mail enable", ["hang", "ok"]);
    world.ask("mail", "enabled");
    await world.untilStatus("mail", "error_disabled");
    expect(ear.states.get("mail")?.reason).toMatchObject({ code: "APP_TIMEOUT" });
    await world.settle(5_000);
  });

  test("calls that never end, not even when told to, do not pile up, and all other apps go on", async () => {
    const world = await worldOf({ limitsMs: { enable: 2_000 }, reportIntervalMs: 60_000 });
    const { engine } = world.instance();
    engine.fates.set("stuck enable", "deaf");
    world.ask("stuck", "enabled");
    await world.clock.advance(3 * 3_600_000);
    expect(engine.calls.filter((call) => call === "enable stuck").length).toBeLessThanOrEqual(16);
    const enabledAtMs = world.clock.monotonicMs();
    world.ask("mail", "enabled");
    await world.until(() => isEnabled(world.statusOf("mail") ?? "unknown"));
    expect(world.clock.monotonicMs() - enabledAtMs).toBeLessThan(1_000);
    world.ask("stuck", "uninstalled");
    await world.settle(300_000);
  });

  test("an app that crashes is started again, ever more seldom while it goes on", async () => {
    const world = await enabled();
    const { engine, ear } = world.instance();
    for (const attempts of [1, 2, 3]) {
      engine.crash("mail");
      await world.untilStatus("mail", "error_disabled");
      expect(ear.states.get("mail")).toMatchObject({ attempts, reason: { code: "APP_ENDED" } });
      await world.settle(10_000);
    }
    await world.clock.advance(61_000);
    expect(ear.states.get("mail")?.attempts).toBe(0);
  });

  test("many that fail cost a bounded rate, and do not hold up those that work", async () => {
    const world = await worldOf();
    const { engine } = world.instance();
    const failing = Array.from({ length: 100 }, (_, at) => `bad-${at}`);
    for (const app of failing) {
      engine.fates.set(`${app} initialize`, new Error("always"));
      world.ask(app, "enabled");
    }
    await world.clock.advance(60_000);
    engine.calls.length = 0;
    await world.clock.advance(60_000);
    const tries = engine.calls.filter((call) => call.startsWith("initialize")).length;
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThanOrEqual(60 * 5 + 2);
    const since = world.clock.monotonicMs();
    world.ask("good", "enabled");
    await world.until(() => isEnabled(world.statusOf("good") ?? "unknown"), 5_000);
    expect(world.clock.monotonicMs() - since).toBeLessThan(1_000);
  });
});

describe("a process that ends", () => {
  test("starts again from what is asked, and does not forget what may run", async () => {
    const world = await enabled();
    await world.kill("i1");
    await world.start("i1");
    await world.settle(5_000);
    expect(world.statusOf("mail")).toBe("auto_enabled");
    expect(world.instance().engine.calls.slice(3)).toEqual([
      "disable mail",
      "install mail",
      "initialize mail",
      "enable mail",
    ]);
    expect(world.instance().ear.changes).toMatchObject([
      { number: 1, from: "manually_enabled", to: "auto_enabled", cause: "started" },
    ]);
  });

  test("without a connection it runs what was asked last", async () => {
    const world = await enabled();
    world.ask("off", "disabled");
    await world.settle();
    await world.kill("i1");
    world.ledger.cutOff = true;
    await world.start("i1");
    await world.until(() => world.instance().engine.running.has("mail"), 15_000);
    expect(world.instance().engine.running.size).toBe(1);
    world.ledger.cutOff = false;
    world.ask("off", "enabled");
    await world.settle(10_000);
  });

  test("in the middle of an enable: that counts as a failure, so that an app that ends its process does not do it at once again", async () => {
    const world = await worldOf();
    const { engine, ear } = world.instance();
    engine.fates.set("mail enable", ["hang", "ok"]);
    world.ask("mail", "enabled");
    await world.until(() => engine.calls.includes("enable mail"));
    await world.kill("i1");
    await world.start("i1");
    await world.untilStatus("mail", "error_disabled");
    expect(ear.states.get("mail")).toMatchObject({ attempts: 1, reason: { code: "APP_ENDED" } });
    await world.settle(5_000);
  });

  test("in peace disables what runs, and says nothing of that", async () => {
    const world = await enabled();
    await world.stop("i1");
    const { engine, ear } = world.instance();
    expect(engine.running.size).toBe(0);
    expect(ear.states.get("mail")?.initStatus).toBe("manually_enabled");
    await world.start("i1");
    await world.settle(5_000);
    expect(engine.calls.slice(3)).toEqual(["disable mail", "install mail", "initialize mail", "enable mail"]);
  });

  test("stops in time though an app cannot be disabled", async () => {
    const world = await enabled();
    world.instance().engine.fates.set("mail disable", "deaf");
    const since = world.clock.monotonicMs();
    await world.stop("i1");
    expect(world.clock.monotonicMs() - since).toBeLessThan(40_000);
  });

  test("for good tells the control plane, which need not answer", async () => {
    const world = await enabled();
    const asked: unknown[] = [];
    world.observer.subscribe(subjectsOf(fleet).api("apps", "forget"), ({ data }) =>
      asked.push(JSON.parse(new TextDecoder().decode(data))),
    );
    await world.clock.advance(10);
    await world.stop("i1", { leave: true });
    expect(asked).toEqual([expect.objectContaining({ instance: "i1" })]);
  });

  test("an app whose record cannot be written is not begun, and goes on when there is room", async () => {
    const world = await enabled();
    const { engine, records } = world.instance();
    records.setFull(true);
    world.ask("other", "enabled");
    await world.clock.advance(10_000);
    expect(engine.calls.filter((call) => call.endsWith("other"))).toEqual([]);
    expect(engine.running.has("mail")).toBe(true);
    records.setFull(false);
    await world.settle(60_000);
  });

  test("an app that was uninstalled while its record could not be written does not run again, though nothing can be read", async () => {
    const world = await enabled();
    const { engine, records } = world.instance();
    records.setFull(true);
    world.ask("mail", "uninstalled");
    await world.clock.advance(500);
    world.ledger.cutOff = true;
    records.setFull(false);
    const begun = engine.calls.length;
    await world.until(() => !engine.running.has("mail") && !engine.files.has("mail"), 60_000);
    expect(engine.calls.slice(begun).filter((call) => call.startsWith("enable"))).toEqual([]);
  });
});

describe("reports", () => {
  test("carry nothing but numbers while nothing happens, and whoever heard all of them has the same digest", async () => {
    const world = await enabled();
    const { ear } = world.instance();
    for (let at = 0; at < 20; at++) world.ask(`app-${at % 7}`, at % 3 === 0 ? "disabled" : "enabled");
    await world.settle();
    expect(ear.isComplete).toBe(true);
    await world.clock.advance(3_000);
    const before = ear.reports;
    await world.clock.advance(20_000);
    expect(ear.reports - before).toBeLessThanOrEqual(12);
    expect(ear.report).not.toHaveProperty("apps");
    expect(ear.report).not.toHaveProperty("recent");
    expect(JSON.stringify(ear.report).length).toBeLessThan(400);
  });

  test("a lost one is noticed by the digest, and the whole is had by asking", async () => {
    const world = await enabled();
    const { ear } = world.instance();
    ear.states.clear();
    expect(ear.isComplete).toBe(false);
    const asked = { changesAfter: { log: "of another life", number: 7 } };
    const answer = appReportSchema.parse(await world.request("i1", "report", asked));
    expect(answer.apps).toMatchObject({ whole: true, states: [{ app: "mail" }] });
    expect(answer.recent).toMatchObject([{ number: 1, from: "unknown", to: "manually_enabled" }]);
    expect(ear.isComplete).toBe(true);
    const later = { changesAfter: { log: answer.incarnation, number: 1 } };
    expect(await world.request("i1", "report", later)).not.toHaveProperty("recent");
  });

  test("come at the interval that a coordinator assigns", async () => {
    const world = await enabled();
    const { ear } = world.instance();
    await world.request("i1", "report", { intervalMs: 10_000 });
    const before = ear.reports;
    await world.clock.advance(60_000);
    expect(ear.reports - before).toBeGreaterThanOrEqual(6);
    expect(ear.reports - before).toBeLessThanOrEqual(8);
  });

  test("each change has its cause, and a try that fails like the one before it is none", async () => {
    const world = await worldOf();
    const { engine, ear } = world.instance();
    engine.fates.set("mail enable", [new Error("one"), new Error("two"), new Error("three"), "ok"]);
    world.ask("mail", "enabled");
    await world.settle();
    engine.crash("mail");
    await world.clock.advance(5);
    await world.settle();
    world.ask("mail", "disabled");
    await world.settle();
    expect(ear.changes.map(({ number, from, to, cause }) => [number, from, to, cause])).toEqual([
      [1, "unknown", "error_disabled", "told"],
      [2, "error_disabled", "manually_enabled", "retried"],
      [3, "manually_enabled", "error_disabled", "ended"],
      [4, "error_disabled", "manually_enabled", "retried"],
      [5, "manually_enabled", "manually_disabled", "told"],
    ]);
  });

  test("say since when an app is not as asked, also after a restart", async () => {
    const world = await worldOf();
    const { engine, ear } = world.instance();
    engine.fates.set("mail enable", new Error("always"));
    const askedAtMs = world.clock.nowMs();
    world.ask("mail", "enabled");
    await world.untilStatus("mail", "error_disabled");
    await world.clock.advance(600_000);
    await world.kill("i1");
    await world.start("i1");
    await world.clock.advance(10_000);
    const sinceMs = ear.states.get("mail")?.mismatchSinceMs ?? 0;
    expect(Math.abs(sinceMs - askedAtMs)).toBeLessThan(1_000);
  });
});

describe("questions", () => {
  test("one app is explained at length", async () => {
    const world = await worldOf();
    world.instance().engine.fates.set("mail install", new Error("x".repeat(2_000)));
    world.ask("mail", "enabled");
    await world.untilStatus("mail", "error_disabled");
    const explained = await world.request("i1", "explain", { app: "mail" });
    expect(explained).toMatchObject({
      doing: expect.stringContaining("tried again"),
      state: { app: "mail" },
    });
    expect(JSON.stringify(explained)).toContain("x".repeat(2_000));
    expect(await world.request("i1", "explain", { app: "none" })).toMatchObject({ state: null });
  });

  test("of a coordinator whose epoch is over, or that make no sense, are refused", async () => {
    const world = await enabled();
    await world.request("i1", "report", { epoch: 7, ledgerId });
    const old = await world.request("i1", "retry", { epoch: 6, ledgerId, apps: null });
    expect(old).toMatchObject({ error: { code: "STALE_EPOCH" } });
    const newer = { epoch: 1, ledgerId: "m3000000000000-c", apps: null };
    expect(await world.request("i1", "retry", newer)).toMatchObject({ retried: [] });
    expect(await world.request("i1", "dance", {})).toMatchObject({ error: { code: "BAD_REQUEST" } });
    expect(await world.request("i1", "retry", { apps: 1 })).toMatchObject({ error: { code: "BAD_REQUEST" } });
    expect(world.instance().agent.stats.complaints).toMatchObject({ askStale: 1, askGarbage: 2 });
  });
});

describe("twenty instances, the oldest bug of the product in which this was first asked for", () => {
  const names = Array.from({ length: 20 }, (_, at) => `i${at}`);
  const apps = ["a", "b", "c"];

  async function fleetOf(): Promise<AppWorld> {
    const world = new AppWorld();
    for (const name of names) await world.join(name);
    for (const app of apps) world.ask(app, "enabled");
    await world.settle();
    return world;
  }

  function expectAllEnabled(world: AppWorld): void {
    for (const name of names)
      for (const app of apps) expect(isEnabled(world.statusOf(app, name) ?? "unknown")).toBe(true);
    for (const { desiredStatus } of world.desired.values()) expect(desiredStatus).toBe("enabled");
  }

  test("restarted one by one: all apps end enabled", async () => {
    const world = await fleetOf();
    for (const name of names) {
      await world.kill(name);
      await world.clock.advance(500);
      await world.start(name);
      await world.clock.advance(500);
    }
    await world.settle(10_000);
    expectAllEnabled(world);
  });

  test("restarted all at once: all apps end enabled", async () => {
    const world = await fleetOf();
    for (const name of names) await world.kill(name);
    for (const name of names) await world.start(name);
    await world.settle(10_000);
    expectAllEnabled(world);
  });

  test("restarted in the middle of an enable: all apps end enabled", async () => {
    const world = await fleetOf();
    for (const app of apps) world.ask(app, "disabled");
    await world.settle();
    for (const app of apps) world.ask(app, "enabled");
    await world.clock.advance(8);
    for (const [at, name] of names.entries()) {
      await world.kill(name);
      await world.start(name);
      await world.clock.advance(at % 3);
    }
    await world.settle(10_000);
    expectAllEnabled(world);
  });

  test("two administrators fight: the last word wins everywhere", async () => {
    const world = await fleetOf();
    for (let at = 0; at < 40; at++) {
      world.ask("a", at % 2 === 0 ? "disabled" : "enabled", { heard: world.random.unit() < 0.8 });
      await world.clock.advance(Math.floor(world.random.unit() * 20));
    }
    world.ask("a", "enabled");
    await world.settle(61_000);
    expectAllEnabled(world);
  });
});
