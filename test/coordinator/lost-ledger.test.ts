import { beforeEach, expect, test } from "vitest";
import type { Log } from "../../src/base/ports.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createMemoryObjects, type MemoryObjects } from "../../src/ledger/memory-objects.js";
import { fleetOfAgents } from "../kit/agent-fleet.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

let world: FleetWorld;
let warnings: string[];
let files: MemoryObjects;

async function* bytes() {
  yield new Uint8Array(1);
}

beforeEach(async () => {
  warnings = [];
  const log: Log = {
    ...quietLog,
    warn: (_facts, sentence) => void warnings.push(sentence),
    child: () => log,
  };
  files = createMemoryObjects({ nowMs: () => 0 });
  await files.put("v2", bytes());
  world = await FleetWorld.ready(6, { log, files });
  await world.rolledOut("v1", { batch: 6 });
  await world.rolledOut("v2", { selector: "tier=web", batch: 6 });
  await world.stopCoordinator("c1");
  world.store.lose(fleet);
  await world.startCoordinator("c1");
  await world.untilLed();
});

const lost =
  /^The ledger is new since 20\d\d-.*Z, and what the one before it knew is lost: 6 instances act on what that one asked, and versions that no record knows run \(v2: 6\)\. They keep what they run until something is deployed there\.$/;

test("the inventory is taken from the reports, and nobody is told anything because records are missing", async () => {
  await world.advance(120_000);
  const { items } = await world.call("instances.list", {});
  expect(items).toHaveLength(6);
  for (const item of items)
    expect(item).toMatchObject({
      labels: { tier: "web" },
      status: "HEALTHY",
      running: { release: "v2" },
      desired: null,
      stable: null,
      updateState: "NOT_NEEDED",
    });
  for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
});

test("what was lost is said in the log and by status, until something is deployed there", async () => {
  await world.advance(15_000);
  expect(warnings.filter((warning) => lost.test(warning))).toHaveLength(1);
  const { ledger, versions } = await world.call("status.get", {});
  expect(ledger).toMatchObject({ restoredFrom: null, strangers: 6, unknownVersions: 6 });
  expect(ledger?.notice).toMatch(lost);
  expect(versions).toEqual([{ version: { release: "v2", config: null }, instances: 6, unrecorded: true }]);

  await world.pushRelease("v3");
  expect(await world.rolledOut("v3")).toMatchObject({
    id: "d1",
    outcome: "completed",
    counts: { succeeded: 6 },
  });
  expect(world.versions()).toEqual(["v3"]);
  const after = await world.call("status.get", {});
  expect(after.ledger).toMatchObject({ strangers: 0, unknownVersions: 0, notice: null });
  expect(after.versions[0]).not.toHaveProperty("unrecorded");
});

test("no file is removed while instances act on what the lost ledger asked: its release may be made of it", async () => {
  await world.advance(5_000);
  const ofFiles = async () => {
    const { items } = await world.call("reconciliations.run", { by: "anna" });
    return items.filter(({ object }) => object === "file/v2").map(({ why }) => why);
  };
  expect(await ofFiles()).toEqual([
    "instances act on what a ledger before this one asked, which may have named it",
  ]);
  expect(await files.list()).toHaveLength(1);
  await world.pushRelease("v3");
  await world.rolledOut("v3", { batch: 6 });
  expect(await ofFiles()).toEqual(["removed"]);
});

test("an agent that was away while the ledger was lost is brought to what was deployed since", async () => {
  await world.advance(5_000);
  world.agent("web-6").stop();
  await world.call("instances.remove", { instance: "web-6" });
  await world.pushRelease("v3");
  await world.rolledOut("v3");
  world.agent("web-6").start();
  await world.until(() => world.agent("web-6").running === "v3");
  await world.advance(5_000);
  expect(await world.instance("web-6")).toMatchObject({ status: "HEALTHY", stable: { release: "v3" } });
});

test("a roll-out of a version that nobody knows is refused, and the one that runs can be pushed again", async () => {
  await world.advance(5_000);
  await expect(world.deploy("v2")).rejects.toMatchObject({ code: "UNKNOWN_RELEASE" });
  await world.pushRelease("v2");
  const told = world.agent("web-1").told.length;
  expect(await world.rolledOut("v2", { batch: 6 })).toMatchObject({ outcome: "completed" });
  // They run it already; from now on this ledger's word is what they act on.
  expect(world.agent("web-1").told.length).toBe(told + 1);
  expect((await world.instance("web-1")).stable).toMatchObject({ release: "v2" });
});

test("agents that were never told anything answer the leaders of a new ledger too, and those of a lost one no more", async () => {
  const { world: real } = await fleetOfAgents(1);
  for (const name of ["c2", "c3"]) {
    await real.stopCoordinator(name === "c2" ? "c1" : "c2");
    await real.startCoordinator(name);
    await real.untilLed();
    await real.advance(5_000);
  }
  const asks: string[] = [];
  real.hub.tap({
    sent: ({ from, subject, data }) => {
      if (from === "c3" && subject.includes(".ask.web-1.")) asks.push(new TextDecoder().decode(data));
    },
  });
  await real.call("reconciliations.run", { by: "ann" });
  await real.stopCoordinator("c3");
  real.store.lose(fleet);
  await real.startCoordinator("c1");
  await real.untilLed();
  await real.advance(15_000);
  const staleOf = async () => {
    const { items } = await real.call("reconciliations.run", { by: "ann", dryRun: true });
    return items.filter(({ why }) => why.includes("STALE_EPOCH"));
  };
  expect(await staleOf()).toEqual([]);
  // One that still believes to lead the lost one: it changes nothing.
  const late = real.hub.connect("late");
  const refused = late.request(subjectsOf(fleet).ask("web-1", "inventory"), asks[0] ?? "", {
    timeoutMs: 1_000,
  });
  expect(JSON.parse(new TextDecoder().decode((await real.during(refused)).data))).toMatchObject({
    error: { code: "STALE_EPOCH" },
  });
  expect(await staleOf()).toEqual([]);
});

test("agents of whom an earlier ledger's leaders have asked answer the new one, whose epochs begin again", async () => {
  const { world: real } = await fleetOfAgents(1);
  const { id } = await real.call("deployments.create", { release: "v1", selector: "tier=web" });
  await real.finished(id);
  for (let term = 0; term < 2; term++) {
    await real.stopCoordinator("c1");
    await real.startCoordinator("c1");
    await real.untilLed();
    await real.advance(5_000);
    await real.call("reconciliations.run", { by: "ann" });
  }
  await real.stopCoordinator("c1");
  real.store.lose(fleet);
  await real.startCoordinator("c1");
  await real.untilLed();
  await real.advance(15_000);
  expect(real.leader().leader().epoch).toBe(1);
  const report = await real.call("reconciliations.run", { by: "ann", dryRun: true });
  expect(report.items.filter(({ why }) => why.includes("STALE_EPOCH"))).toEqual([]);
});
