import { beforeEach, describe, expect, test } from "vitest";
import { keys } from "../../src/contracts/keys.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { backUp, cutOffAfter, ledgerPartsIn, restore } from "../kit/fleet-backup.js";
import { refusalOf } from "../kit/refusals.js";

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
});

/** The whole inventory is in, and whatever a restore could set off has happened. */
const aWhileMs = 120_000;

async function restored(backup: Awaited<ReturnType<typeof backUp>>) {
  await world.stopCoordinator("c1");
  const done = await restore(world, backup);
  await world.startCoordinator("c1");
  await world.untilLed();
  return done;
}

const storyOf = (instance: string) => world.agent(instance).story;

test("agents that have seen the future of a restored ledger keep what they run, and follow the next deployment", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const backup = await backUp(world);
  await world.rolledOut("v2", { batch: 6 });
  await world.rolledOut("v3", { batch: 6 });
  const before = world.leader().leader().epoch;
  const done = await restored(backup);
  await world.advance(aWhileMs);
  for (const instance of world.agents.keys()) expect(storyOf(instance)).toEqual(["v1", "v2", "v3"]);

  const status = await world.call("status.get", {});
  expect(status.epoch).toBeGreaterThan(before);
  expect(status.latest).toMatchObject({ id: "d1", outcome: "completed" });
  expect(status.ledger).toMatchObject({ id: done.ledgerId, strangers: 6, unknownVersions: 0 });
  expect(status.ledger?.notice).toMatch(
    /^The ledger was restored from the backup of .*: 6 instances act on what was asked before the restore, 6 of them run something else than the backup wants\. They keep what they run until something is deployed there\.$/,
  );
  expect(await world.instance("web-1")).toMatchObject({
    desired: { release: "v1" },
    running: { release: "v3" },
    generation: 1,
    observedGeneration: 3,
    why: expect.stringContaining("It acts on what a ledger before this one told it"),
  });

  expect(await world.rolledOut("v2")).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  expect(world.versions()).toEqual(["v2"]);
  expect(await world.instance("web-1")).toMatchObject({ generation: 4, observedGeneration: 4 });
  expect((await world.call("status.get", {})).ledger).toMatchObject({ strangers: 0, notice: null });
});

test("the failure of a future that is not known is no failure of what the backup knows", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const { id } = await world.deploy("v2", { batch: 2, minHealthyMs: 30_000 });
  await world.until(() => world.toldOf("v2").length === 2);
  const backup = await backUp(world);
  world.behave({ v3: { fails: true } });
  await world.call("deployments.abort", { deployment: id });
  await world.finished(id);
  await world.rolledOut("v3", { batch: 6, failureThreshold: 6, rollback: "off" });
  await world.advance(5_000);
  for (const instance of world.agents.keys()) world.agent(instance).fail("it ended");
  const told = storyOf("web-1").length;
  await restored(backup);
  await world.advance(aWhileMs);
  expect(await world.view(id)).toMatchObject({ state: "paused", counts: { failed: 0, inFlight: 2 } });
  expect(storyOf("web-1")).toHaveLength(told);
});

test("a roll-out that was under way waits for a person, and then goes on", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const { id } = await world.deploy("v2", { batch: 1 });
  await world.until(() => world.toldOf("v2").length === 2);
  const backup = await backUp(world);
  world.kill("c1");
  await world.advance(4_000);
  const { paused, ended } = await restore(world, backup);
  expect([paused, ended]).toEqual([[id], []]);
  await world.startCoordinator("c2");
  await world.untilLed();
  await world.advance(aWhileMs);
  expect(world.toldOf("v2")).toHaveLength(2);
  expect(await world.view(id)).toMatchObject({
    state: "paused",
    paused: { by: "anna", reason: expect.stringContaining("restored from the backup of") },
  });
  await world.call("deployments.resume", { deployment: id, by: "anna" });
  expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  expect(world.versions()).toEqual(["v2"]);
});

describe("what a completed deployment owes", () => {
  test("is not brought to an instance that may be further; a new one gets it", async () => {
    world.agent("web-6").stop();
    await world.advance(20_000);
    await world.rolledOut("v1", { batch: 6 });
    const backup = await backUp(world);
    world.agent("web-6").start();
    await world.until(() => world.agent("web-6").running === "v1");
    await world.rolledOut("v2", { batch: 6 });
    world.addAgent("web-7", { tier: "web" });
    await world.until(() => world.agent("web-7").running === "v2");
    await restored(backup);
    world.addAgent("web-8", { tier: "web" });
    await world.advance(aWhileMs);
    expect(storyOf("web-6")).toEqual(["v1", "v2"]);
    expect(storyOf("web-7")).toEqual(["v2"]);
    expect(storyOf("web-8")).toEqual(["v1"]);
  });

  test("since the restore is brought to those that were away", async () => {
    await world.rolledOut("v1", { batch: 6 });
    const backup = await backUp(world);
    await world.rolledOut("v2", { batch: 6 });
    world.agent("web-6").stop();
    await restored(backup);
    await world.advance(20_000);
    expect(await world.rolledOut("v3", { batch: 6 })).toMatchObject({ outcome: "completed" });
    world.agent("web-6").start();
    await world.until(() => world.agent("web-6").running === "v3");
    await world.advance(5_000);
    expect(await world.instance("web-6")).toMatchObject({ stable: { release: "v3" }, status: "HEALTHY" });
  });
});

test("a reconciliation tells nobody what the backup wants: a desired state that did not come back stays away", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const backup = await backUp(world);
  await world.rolledOut("v2", { batch: 6 });
  await restored(backup);
  await world.advance(10_000);
  const { items } = await world.call("reconciliations.run", { dryRun: false, by: "anna" });
  expect(items).toContainEqual(
    expect.objectContaining({
      what: "web-1 has no desired state since the ledger was restored",
      why: "it keeps what it runs until something is deployed there",
    }),
  );
  // Those that the leader begins by itself, too.
  await world.advance(3_600_000);
  for (const instance of world.agents.keys()) expect(storyOf(instance)).toEqual(["v1", "v2"]);
});

test("the audit log begins anew with the backup's name and the end of the one before", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const backup = await backUp(world);
  await world.rolledOut("v2", { batch: 6 });
  await world.stopCoordinator("c1");
  const before = world.store.events(fleet).at(-1);
  const { ledgerId } = await restore(world, backup);
  const events = world.store.events(fleet);
  const begun = events.find(({ id }) => id === `${ledgerId}-1`);
  expect(begun).toMatchObject({ type: "dev.rollcall.ledger.restoring.v1", actor: "user:anna" });
  expect(JSON.parse(begun?.body ?? "")).toMatchObject({
    ledgerId: backup.manifest.ledgerId,
    revision: backup.manifest.revision,
    before: { sequence: before?.sequence, hash: before?.hash },
  });
  expect(events.at(-1)?.type).toBe("dev.rollcall.ledger.restored.v1");
  const verify = chainVerifier();
  expect(events.flatMap((event) => verify(event) ?? [])).toEqual([]);
});

describe("a restore is refused", () => {
  test("while a coordinator leads, and changes nothing", async () => {
    const backup = await backUp(world);
    const { ledgerId } = backup.manifest;
    expect(await refusalOf(restore(world, backup))).toMatchObject({
      code: "LEDGER_IN_USE",
      message: expect.stringContaining("Coordinator c1 leads fleet default: stop every coordinator"),
    });
    expect((await backUp(world)).manifest.ledgerId).toBe(ledgerId);
    expect(await world.rolledOut("v1", { batch: 6 })).toMatchObject({ outcome: "completed" });
  });

  test("over a ledger that holds records, unless forced; the lease is given back", async () => {
    const backup = await backUp(world);
    await world.stopCoordinator("c1");
    expect(await refusalOf(restore(world, backup, { force: false }))).toMatchObject({
      code: "LEDGER_NOT_EMPTY",
    });
    expect(await restore(world, backup)).toMatchObject({ saved: "before.tar.gz" });
  });

  test("when a record of it cannot be read, even if forced", async () => {
    const backup = await backUp(world);
    await world.stopCoordinator("c1");
    const findings = [
      { kind: "unreadable", where: keys.instance("web-1"), problem: "agent: expected string" },
    ] as const;
    expect(await refusalOf(restore(world, { ...backup, findings }))).toMatchObject({ code: "BAD_BACKUP" });
  });
});

test("a restore that was cut off in its middle is led over by nobody, and is finished by the next one", async () => {
  await world.rolledOut("v1", { batch: 6 });
  const backup = await backUp(world);
  await world.stopCoordinator("c1");
  // What it says first, what it writes, what ends it: one batch each.
  for (let batches = 0; batches < 3; batches++) {
    const parts = cutOffAfter(batches, ledgerPartsIn(world));
    const failed = restore(world, backup, { parts });
    expect(await refusalOf(failed)).toMatchObject({ code: "LEDGER_UNAVAILABLE" });
    expect(await refusalOf(backUp(world))).toMatchObject({ code: "LEDGER_HALF_RESTORED" });
    expect(await refusalOf(world.startCoordinator(`late-${batches}`))).toMatchObject({
      code: "LEDGER_HALF_RESTORED",
      message: expect.stringContaining("finish it by rollcall ledger restore FILE"),
    });
  }
  expect(await restore(world, backup, { force: false })).toMatchObject({ saved: null });
  await world.startCoordinator("c3");
  await world.untilLed();
  expect((await world.call("deployments.list", {})).items).toMatchObject([
    { id: "d1", outcome: "completed" },
  ]);
  await world.advance(5_000);
  expect((await world.call("instances.list", {})).items).toHaveLength(6);
});
