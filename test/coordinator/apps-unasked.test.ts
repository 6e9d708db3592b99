import { beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../src/agent/app-engine.js";
import { AppFleet } from "../kit/app-fleet.js";
import { backUp, restore } from "../kit/fleet-backup.js";
import { refusalOf } from "../kit/refusals.js";

let world: AppFleet;
let backup: Awaited<ReturnType<typeof backUp>>;

async function refused(request: Promise<unknown>) {
  return refusalOf(world.during(request));
}

const content = { version: "2.0.0", source: "./apps/news", settings: { paper: "daily" } };

/** Three instances run `news`, of which the ledger does not know: it was restored from a backup that is older. */
async function restoredWithoutNews(): Promise<void> {
  world = await AppFleet.ready(3);
  await world.addApp("mail");
  await world.settled();
  backup = await backUp(world);
  await world.addApp("news", content);
  await world.settled();
  await restoreIt();
}

async function restoreIt(): Promise<void> {
  await world.stopCoordinator("c1");
  await restore(world, backup);
  await world.startCoordinator("c1");
  world.serve("c1");
  await world.untilLed();
  await world.advance(5_000);
}

const runningOn = (app: string) =>
  [...world.instances.values()].map(({ engine }) => engine.running.get(app) ?? null);

describe("an app that a restored ledger does not know", () => {
  beforeEach(restoredWithoutNews);

  test("runs on, and is shown wherever it is", async () => {
    await world.advance(60_000);
    expect(runningOn("news")).toEqual(["2.0.0", "2.0.0", "2.0.0"]);
    const { items, unasked, counts } = await world.call("apps.status", { app: "news" });
    expect(unasked).toBe(3);
    expect(counts.total).toBe(0);
    expect(items.map(({ instanceId }) => instanceId)).toEqual(["web-1", "web-2", "web-3"]);
    expect(items[0]).toMatchObject({
      app: "news",
      desiredStatus: null,
      initStatus: "manually_enabled",
      inSync: false,
      reason: { code: "APP_UNASKED" },
      alerted: false,
    });
    const all = await world.call("apps.status", { all: true });
    expect(all.items.map(({ app }) => app)).toEqual(["mail", "mail", "mail", "news", "news", "news"]);
    expect(await world.rows({ app: "news", instance: "web-2" })).toHaveLength(1);
    expect(await world.call("apps.list", {})).toMatchObject({ items: [{ app: "mail" }], unasked: ["news"] });
    expect((await world.call("status.get", {})).apps).toMatchObject({ apps: 1, unasked: 1 });
    const why = await world.call("apps.why", { app: "news", instance: "web-2" });
    expect(why.rule).toBe("not-asked-for");
    expect(why.sentence).toBe(
      "Nobody asked for news in this ledger, so web-2 keeps it manually enabled, which runs in version 2.0.0. Keep it by rollcall apps adopt news, or remove it everywhere by rollcall apps uninstall news.",
    );
  });

  test("comes a page at a time, among those that were asked for", async () => {
    const seen: string[] = [];
    let after: { app: string; instance: string } | null = null;
    do {
      const page: Awaited<ReturnType<typeof world.call<"apps.status">>> = await world.call("apps.status", {
        all: true,
        limit: 2,
        after,
      });
      expect(page.unasked).toBe(3);
      seen.push(...page.items.map(({ app, instanceId }) => `${app} ${instanceId}`));
      after = page.next;
    } while (after !== null);
    expect(seen).toEqual(["mail", "news"].flatMap((app) => [1, 2, 3].map((n) => `${app} web-${n}`)));
  });

  test("is adopted as it runs, without a call of its engine, and from then on is one like the others", async () => {
    const before = world.instance().engine.calls.length;
    const adopted = await world.call("apps.adopt", { app: "news", by: "ann", reason: "after the backup" });
    expect(adopted).toMatchObject({ app: "news", desiredStatus: "enabled", content });
    await world.advance(5_000);
    expect(world.instance().engine.calls.length).toBe(before);
    expect((await world.call("apps.get", { app: "news" })).counts).toEqual({
      total: 3,
      inSync: 3,
      mismatched: 0,
      unheard: 0,
    });
    expect((await world.call("apps.status", {})).unasked).toBe(0);
    expect((await world.call("status.get", {})).apps?.unasked).toBe(0);
    expect(world.events("app.added").at(-1)).toMatchObject({
      subject: "app/news",
      actor: "user:ann",
      data: { version: "2.0.0", to: "enabled", instance: "web-1" },
    });
    await world.call("apps.disable", { app: "news" });
    await world.advance(5_000);
    expect(runningOn("news")).toEqual([null, null, null]);
  });

  test("is removed everywhere once somebody says so, and forgotten when all have confirmed", async () => {
    await world.call("apps.uninstall", { app: "news", by: "ann" });
    await world.advance(60_000);
    expect(runningOn("news")).toEqual([null, null, null]);
    expect((await world.call("apps.list", { uninstalled: true })).items.map(({ app }) => app)).toEqual([
      "mail",
    ]);
    expect(world.events("app.cleared")).toMatchObject([{ subject: "app/news" }]);
    expect(await refused(world.ask("apps.get", { app: "news" }))).toMatchObject({ code: "UNKNOWN_APP" });
  });

  test("is refused with where it is and the two ways out, by whatever else names it", async () => {
    for (const asked of [
      world.ask("apps.get", { app: "news" }),
      world.ask("apps.disable", { app: "news" }),
      world.ask("apps.set", { app: "news", version: "3" }),
      world.ask("apps.reconcile", { app: "news" }),
    ])
      expect(await refused(asked)).toMatchObject({
        code: "APP_UNASKED",
        message:
          "Nobody asked for app news in this ledger, yet it is on web-1 and 2 more: keep it by rollcall apps adopt news, or remove it everywhere by rollcall apps uninstall news.",
      });
    expect((await refused(world.ask("apps.status", { app: "nope" }))).code).toBe("UNKNOWN_APP");
    expect((await refused(world.ask("apps.adopt", { app: "nope" }))).code).toBe("UNKNOWN_APP");
    expect((await refused(world.ask("apps.adopt", { app: "mail" }))).code).toBe("APP_EXISTS");
    expect((await refused(world.ask("apps.why", { app: "nope", instance: "web-1" }))).code).toBe(
      "UNKNOWN_APP",
    );
  });

  test("is alerted once, also over a change of leader, and no more once it is adopted", async () => {
    await world.advance(9 * 60_000);
    expect(world.events("app.mismatched")).toEqual([]);
    await world.advance(2 * 60_000);
    const alerts = world.events("app.mismatched");
    expect(alerts.map(({ subject, data }) => [subject, data.instance, data.standing, data.link])).toEqual(
      [1, 2, 3].map((n) => ["app/news", `web-${n}`, "kept", "docs/troubleshooting.md#app_unasked"]),
    );
    expect((await world.call("status.get", {})).apps).toMatchObject({ alerts: 3, unasked: 1 });
    await world.startCoordinator("c2");
    await world.stopCoordinator("c1");
    await world.untilLed();
    world.serve("c2");
    await world.advance(20 * 60_000);
    expect(world.events("app.mismatched")).toHaveLength(3);
    expect(world.events("app.matched")).toEqual([]);
    await world.call("apps.adopt", { app: "news" });
    await world.advance(60_000);
    expect(world.events("app.matched").map(({ data }) => [data.instance, data.because])).toEqual(
      [1, 2, 3].map((n) => [`web-${n}`, "inSync"]),
    );
  });

  test("is not said of who is silent, and is when that one is back", async () => {
    world.killInstance("web-3");
    await world.advance(60_000);
    expect((await world.call("apps.status", { app: "news" })).unasked).toBe(2);
    const silent = await world.call("apps.why", { app: "news", instance: "web-3" });
    expect(silent).toMatchObject({ rule: "silent", row: { inSync: null } });
    await world.startInstance("web-3");
    await world.advance(5_000);
    expect((await world.call("apps.status", { app: "news" })).unasked).toBe(3);
    expect(runningOn("news")).toEqual(["2.0.0", "2.0.0", "2.0.0"]);
  });

  test("is adopted as one instance has it, where they differ", async () => {
    await world.call("apps.adopt", { app: "news" });
    world.killInstance("web-3");
    await world.call("apps.set", { app: "news", version: "3.0.0" });
    await world.advance(5_000);
    await restoreIt();
    await world.startInstance("web-3");
    await world.advance(5_000);
    expect(runningOn("news")).toEqual(["3.0.0", "3.0.0", "2.0.0"]);
    expect(await refused(world.ask("apps.adopt", { app: "news" }))).toMatchObject({
      code: "APP_VERSIONS_DIFFER",
      message:
        "App news is not the same everywhere: web-1 has version 3.0.0, web-3 has 2.0.0. Say whose is to be kept, by rollcall apps adopt news --instance web-1.",
    });
    await world.call("apps.adopt", { app: "news", instance: "web-3" });
    await world.advance(10_000);
    expect((await world.call("apps.get", { app: "news" })).counts.inSync).toBe(3);
    expect(runningOn("news")).toEqual(["2.0.0", "2.0.0", "2.0.0"]);
  });

  test("is not adopted of an instance that does not answer", async () => {
    const lost = world.hub.drop(({ subject }) => subject.endsWith("apps-ask.web-2.explain"));
    expect(await refused(world.ask("apps.adopt", { app: "news", instance: "web-2" }))).toMatchObject({
      code: "APP_NOT_EXPLAINED",
    });
    lost.unsubscribe();
  });
});

test("what is left of an app on an instance that was away until its tombstone was cleared is shown while it cannot be removed", async () => {
  world = await AppFleet.ready(2);
  await world.addApp("news", content);
  await world.settled();
  world.killInstance("web-2");
  await world.call("apps.uninstall", { app: "news" });
  await world.call("apps.forget", { instance: "web-2" });
  await world.advance(60_000);
  expect((await world.call("apps.list", { uninstalled: true })).items).toEqual([]);
  world.instance("web-2").engine.fates.set("news uninstall", new AppError("error", "the disk is read-only"));
  await world.startInstance("web-2");
  await world.advance(30_000);
  const why = await world.call("apps.why", { app: "news", instance: "web-2" });
  expect(why.rule).toBe("being-removed");
  expect(why.sentence).toContain("news was uninstalled and forgotten while web-2 was away");
  expect(why.sentence).toContain("the disk is read-only");
  expect((await world.call("apps.status", {})).items).toMatchObject([
    { app: "news", instanceId: "web-2", desiredStatus: null, reason: { code: "APP_FAILED" } },
  ]);
  expect((await refused(world.ask("apps.adopt", { app: "news" }))).code).toBe("APP_UNINSTALLED");
  await world.advance(15 * 60_000);
  expect(world.events("app.mismatched")).toMatchObject([
    { data: { instance: "web-2", standing: "removing" } },
  ]);
  world.instance("web-2").engine.fates.delete("news uninstall");
  await world.call("apps.uninstall", { app: "news" });
  await world.advance(120_000);
  expect((await world.call("apps.status", {})).items).toEqual([]);
  expect(world.events("app.matched")).toMatchObject([{ data: { instance: "web-2" } }]);
  expect(world.instance("web-2").engine.files.size).toBe(0);
});
