import { beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import { type AppReport, appReportSchema } from "../../src/contracts/app-report.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AppFleet } from "../kit/app-fleet.js";
import { fleet } from "../kit/coordinators-world.js";
import { backUp, restore } from "../kit/fleet-backup.js";

/** Every change of a status that instances have made, once each. */
function auditedOnce(world: AppFleet): void {
  const seen = new Set<string>();
  for (const { data, subject } of world.events("app.status")) {
    const key = JSON.stringify([subject, data.instance, data.from, data.to, data.atMs]);
    expect(seen.has(key), key).toBe(false);
    seen.add(key);
  }
}

describe("a change of leader", () => {
  test("in the middle of many changes loses none, and each change is in the audit log once", async () => {
    const world = await AppFleet.ready(5);
    for (let n = 1; n <= 6; n++) await world.addApp(`app-${n}`);
    await world.startCoordinator("c2");
    world.serve("c2");
    const client = world.client("ann");
    for (let round = 0; round < 6; round++) {
      const changes = [1, 2, 3, 4, 5, 6].map((n) =>
        round % 2 === 0 ? client.apps.disable({ app: `app-${n}` }) : client.apps.enable({ app: `app-${n}` }),
      );
      await world.advance(1 + round * 3);
      const leader = await world.untilLed();
      if (round % 3 === 0) world.kill(leader);
      else if (round % 3 === 1) await world.stopCoordinator(leader);
      if (world.leaderName() === undefined || round % 3 === 2) await world.advance(10);
      const next = `c${round + 3}`;
      await world.startCoordinator(next);
      world.serve(next);
      for (const change of changes) await world.during(change);
    }
    await world.untilLed();
    await world.settled();
    await world.advance(5_000);
    for (let n = 1; n <= 6; n++) {
      expect(world.statusesOf(`app-${n}`)).toEqual(Array(5).fill("manually_enabled"));
      // Each was carried out once, however often it was sent.
      const asked = world
        .events()
        .filter(({ subject, type }) => subject === `app/app-${n}` && /enabled|disabled/.test(type));
      expect(asked.map(({ generation }) => generation)).toEqual([
        ...new Set(asked.map(({ generation }) => generation)),
      ]);
    }
    auditedOnce(world);
    for (const [id] of world.instances) {
      const last = world
        .events("app.status")
        .findLast(({ data, subject }) => data.instance === id && subject === "app/app-3");
      expect(last?.data.to).toBe("manually_enabled");
    }
  });

  test("what instances did while nobody led is in the audit log afterwards", async () => {
    const world = await AppFleet.ready(2);
    await world.addApp();
    await world.settled();
    world.kill("c1");
    world.instance("web-1").engine.fates.set("mail enable", [new AppError("error", "no room")]);
    world.instance("web-1").engine.crash("mail");
    await world.advance(30_000);
    await world.startCoordinator("c2");
    await world.untilLed();
    await world.advance(6_000);
    await world.settled();
    const ofWeb1 = world.events("app.status").filter(({ data }) => data.instance === "web-1");
    expect(ofWeb1.map(({ data }) => data.to)).toEqual([
      "manually_enabled",
      "error_disabled",
      "manually_enabled",
    ]);
    expect(world.events("app-instance.joined")).toHaveLength(2);
    auditedOnce(world);
  });
});

describe("changes that were missed", () => {
  test("are counted, when an instance keeps them no more", async () => {
    const world = await AppFleet.ready(0);
    await world.addApp();
    const say = speaker(world);
    say({ changes: { log: "l1", number: 0 } });
    await world.advance(100);
    const kept = Array.from({ length: 200 }, (_, at) => change(501 + at));
    say({ changes: { log: "l1", number: 1_500 }, recent: kept });
    await world.advance(100);
    const [first, ...rest] = world.events("app.status");
    expect(first?.data).toMatchObject({ missed: 500, from: "unknown", to: "manually_enabled" });
    expect(rest).toHaveLength(199);
    expect(rest.every(({ data }) => data.missed === undefined)).toBe(true);
  });
});

describe("two processes of one instance", () => {
  test("the newer one counts, until it falls silent", async () => {
    const world = await AppFleet.ready(0);
    await world.addApp();
    const older = speaker(world, "older");
    const newer = speaker(world, "newer");
    const statusNow = async () => (await world.rows())[0]?.initStatus;
    older({ states: "manually_enabled" });
    await world.advance(10);
    newer({ states: "auto_enabled" });
    await world.advance(10);
    older({ states: "error_disabled" });
    await world.advance(10);
    expect(await statusNow()).toBe("auto_enabled");
    await world.advance(10_000);
    older({ states: "disabled" });
    await world.advance(10);
    expect(await statusNow()).toBe("disabled");
  });
});

describe("after a restore", () => {
  test("nothing is told and every instance keeps what it runs, until somebody reconciles or changes the app", async () => {
    const world = await AppFleet.ready(2);
    await world.addApp("mail");
    await world.addApp("chat");
    await world.settled();
    const backup = await backUp(world);
    await world.call("apps.disable", { app: "mail" });
    await world.addApp("news");
    await world.settled();
    await world.stopCoordinator("c1");
    await restore(world, backup);
    await world.startCoordinator("c1");
    await world.untilLed();
    await world.advance(120_000);
    expect(world.statusesOf("mail")).toEqual(["manually_disabled", "manually_disabled"]);
    expect(world.statusesOf("news")).toEqual(["manually_enabled", "manually_enabled"]);
    const mail = await world.call("apps.get", { app: "mail" });
    expect(mail).toMatchObject({
      desiredStatus: "enabled",
      conditions: {
        InSync: { status: false, sentence: expect.stringContaining("since the ledger was restored") },
      },
    });
    expect((await world.call("apps.why", { app: "mail", instance: "web-1" })).rule).toBe("not-told");
    expect(world.events("app.mismatched")).toEqual([]);

    await world.call("apps.set", { app: "chat", version: "2.0.0", expectedGeneration: 2 });
    await world.advance(5_000);
    expect(world.instance().engine.running.get("chat")).toBe("2.0.0");
    expect(world.statusesOf("mail")).toEqual(["manually_disabled", "manually_disabled"]);

    expect(await world.call("apps.reconcile", { by: "ann" })).toMatchObject({ told: 1 });
    await world.settled();
    expect(world.statusesOf("mail")).toEqual(["manually_enabled", "manually_enabled"]);
    // The control plane does not know it any more: it is left as it is.
    expect(world.statusesOf("news")).toEqual(["manually_enabled", "manually_enabled"]);
    expect(world.events("app.told")).toMatchObject([{ subject: "app/mail", actor: "user:ann" }]);
    await world.call("apps.disable", { app: "mail" });
    await world.settled();
    expect(world.leader().view().problem).toBeNull();
  });
});

describe("after the ledger was lost", () => {
  let world: AppFleet;

  /** Instances have heard more of the lost one than there is to hear of the new one. */
  beforeEach(async () => {
    world = await AppFleet.ready(2);
    await world.addApp("mail");
    for (const ask of ["apps.disable", "apps.enable", "apps.disable"] as const)
      await world.call(ask, { app: "mail" });
    await world.settled();
    await world.stopCoordinator("c1");
    world.store.lose(fleet);
    await world.startCoordinator("c2");
    await world.untilLed();
    await world.advance(10_000);
  });

  test("an instance reads what is asked, also if it is told in the middle of a reading that fails", async () => {
    const { name } = world.instance().bus;
    const mute = world.hub.drop(({ from }) => from === name);
    let isReading = false;
    world.hub.tap({
      sent: ({ from, subject }) => {
        isReading ||= from === name && subject.endsWith("desired.apps");
      },
    });
    await world.until(() => isReading);
    await world.addApp("chat");
    await world.advance(1_000);
    mute.unsubscribe();
    await world.advance(90_000);
    expect((await world.call("apps.get", { app: "chat" })).counts).toMatchObject({ total: 2, inSync: 2 });
  });

  test("an instance that has missed what is asked is told to read it, whatever it had heard before", async () => {
    const { name } = world.instance().bus;
    const deaf = world.hub.drop(({ to, subject }) => to === name && subject.includes(".desired."));
    await world.advance(60_000);
    await world.addApp("chat");
    await world.advance(10_000);
    deaf.unsubscribe();
    expect(world.statusesOf("chat")).toEqual(["manually_enabled", "manually_enabled"]);
  });
});

type Said = Partial<AppReport> & { readonly states?: string };

function change(number: number) {
  return {
    number,
    app: "mail",
    generation: 1,
    from: "unknown" as const,
    to: "manually_enabled" as const,
    cause: "told" as const,
    reason: null,
    atMs: number,
  };
}

/** Speaks for `web-1` as one of its processes would. */
function speaker(world: AppFleet, incarnation = "one") {
  const bus = world.hub.connect(incarnation);
  const { ledgerId } = world.leader().source() ?? { ledgerId: "" };
  let seq = 0;
  return ({ states, ...said }: Said): void => {
    const state = {
      app: "mail",
      generation: 1,
      initStatus: states,
      installed: true,
      version: "1.0.0",
      reason: null,
      sinceMs: 1,
      mismatchSinceMs: null,
      attempts: 0,
      nextAttemptAtMs: null,
      stopped: false,
    };
    const report = appReportSchema.parse({
      format: 1,
      instance: "web-1",
      incarnation,
      seq: seq++,
      agentVersion: "1.0.0",
      desiredFormat: 1,
      ledgerId,
      generation: 1,
      digest: "0".repeat(32),
      count: 1,
      changes: { log: incarnation, number: 0 },
      atMs: world.clock.nowMs(),
      ...(states !== undefined && { apps: { whole: true, states: [state], gone: [] } }),
      ...said,
    });
    bus.publish(subjectsOf(fleet).apps("web-1"), JSON.stringify(report));
  };
}
