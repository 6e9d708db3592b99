import { beforeEach, describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { refusalOf } from "../kit/refusals.js";

/*
 * What went wrong in the reference implementation (xNok/dides), each as a scenario that went wrong there. The names say
 * what happened there; here it does not.
 */

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
  await world.rolledOut("v1", { batch: 6 });
});

const rollback = (deployment: string) => world.call("deployments.rollback", { deployment });

describe("reports that never excluded each other", () => {
  test("the lock always succeeded, so two deployments ran over the same instances", async () => {
    const asked = [1, 2, 3, 4].map((n) =>
      world.ask("deployments.create", { release: n % 2 ? "v2" : "v3", selector: null, batch: 6 }),
    );
    const outcomes = await world.during(Promise.allSettled(asked));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await world.advance(20_000);
    expect(world.versions()).toEqual(["v2"]);
    expect(world.toldOf("v3")).toEqual([]);
  });

  test("an error of the store read as 'no roll-out runs', so a second one began", async () => {
    await world.startCoordinator("c2");
    world.behave({ v2: { tookMs: 20_000 } });
    const { id } = await world.deploy("v2");
    const fault = world.store.unavailable();
    const second = world.ask("deployments.create", { release: "v3", selector: null });
    await world.advance(15_000);
    fault.unsubscribe();
    await world.during(Promise.allSettled([second]));
    await world.untilLed();
    expect((await refusalOf(second)).code).toMatch(/ROLLOUT_IN_PROGRESS|NO_LEADER|LEDGER_UNAVAILABLE/);
    expect(await world.finished(id)).toMatchObject({ outcome: "completed" });
    expect(world.toldOf("v3")).toEqual([]);
  });

  test("one roll-out at a time for the whole system, even for disjoint labels", async () => {
    world.addAgent("db-1", { tier: "db" });
    await world.advance(3_000);
    world.behave({ v2: { tookMs: 20_000 } });
    const web = await world.deploy("v2");
    const db = await world.deploy("v3", { selector: "tier=db" });
    expect(await world.finished(db.id)).toMatchObject({ outcome: "completed" });
    expect(await world.view(web.id)).toMatchObject({ state: "rolling" });
  });
});

describe("batches that did not hold", () => {
  test("a negative limit released the whole fleet at once", async () => {
    expect(await refusalOf(world.deploy("v2", { batch: -1 }))).toMatchObject({ code: "BAD_BATCH" });
    // There it came about by a second deployment with a smaller batch while more were under way.
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2", { batch: 4 });
    await world.advance(1_000);
    await world.call("deployments.abort", { deployment: id });
    const again = await world.deploy("v2", { batch: 1 });
    await world.advance(5_000);
    const told = world.desires.filter(({ desired }) => desired?.deployment === again.id);
    expect(told).toHaveLength(1);
  });

  test("more in flight than the batch skipped the wait for it", async () => {
    world.behave({ v2: { hangs: true } });
    const { id } = await world.deploy("v2", { batch: 2 });
    await world.advance(30_000);
    expect(world.desires.filter(({ desired }) => desired?.deployment === id)).toHaveLength(2);
  });

  test("failed instances filled the batch, and the roll-out hung for ever", async () => {
    world.behave({ v2: { fails: true } }, ["web-1", "web-2"]);
    const done = await world.rolledOut("v2", { batch: 2, failureThreshold: 3 });
    expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 4, failed: 2 } });
  });

  test("instances already told were picked again and counted twice", async () => {
    world.behave({ v2: { tookMs: 10_000 } });
    const { id } = await world.deploy("v2", { batch: 4 });
    await world.advance(5_000);
    expect(await world.view(id)).toMatchObject({ counts: { inFlight: 4, waiting: 2, total: 6 } });
    await world.finished(id);
    for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
  });

  test("the first batch was not written as one: half of it was told before the record was there", async () => {
    world.store.refuseNextCommit("default");
    const asked = world.ask("deployments.create", { release: "v2", selector: null, batch: 6 });
    await world.during(Promise.allSettled([asked]));
    expect((await refusalOf(asked)).code).toMatch(/LEDGER_UNAVAILABLE|NO_LEADER/);
    await world.advance(30_000);
    expect(world.toldOf("v2")).toEqual([]);
    expect((await world.call("deployments.list", {})).items).toHaveLength(1);
  });
});

describe("thresholds", () => {
  test("a threshold of 0 failed at once, and rolled back without end", async () => {
    expect(await refusalOf(world.deploy("v2", { failureThreshold: 0 }))).toMatchObject({
      code: "BAD_FAILURE_THRESHOLD",
    });
    expect((await world.call("deployments.list", {})).items).toHaveLength(1);
  });

  test("a failing rollback triggered another rollback at each look", async () => {
    world.behave({ v1: { fails: true }, v2: { fails: true } });
    const bad = await world.rolledOut("v2");
    expect(await world.finished(bad.rolledBackBy ?? "")).toMatchObject({ outcome: "rollback_failed" });
    await world.advance(600_000);
    expect((await world.call("deployments.list", {})).items).toHaveLength(3);
  });

  test("without a previous deployment the error was swallowed", async () => {
    world = await FleetWorld.ready(2);
    const { id } = await world.rolledOut("v1");
    expect(await refusalOf(rollback(id))).toMatchObject({
      code: "NO_PREVIOUS_DEPLOYMENT",
      details: { deployment: id },
    });
  });
});

describe("rollbacks", () => {
  test("instances that had not finished stayed desired at the bad version, and got it after the rollback", async () => {
    world.behave({ v2: { tookMs: 30_000 } });
    const { id } = await world.deploy("v2", { batch: 3 });
    await world.advance(10_000);
    const back = await rollback(id);
    await world.finished(back.id);
    await world.advance(60_000);
    expect(world.versions()).toEqual(["v1"]);
    const { items } = await world.call("instances.list", {});
    expect(items.map(({ desired }) => desired?.release)).toEqual(Array.from({ length: 6 }, () => "v1"));
  });

  test("everybody went to the latest completed deployment, not to what each one ran", async () => {
    await world.relabel("web-6", { tier: "web", kind: "special" });
    await world.rolledOut("v2", { selector: "kind=special" });
    world.behave({ v3: { fails: true } });
    const bad = await world.rolledOut("v3", { batch: 6 });
    await world.finished(bad.rolledBackBy ?? "");
    expect(world.running()).toMatchObject({ "web-1": "v1", "web-5": "v1", "web-6": "v2" });
  });

  test("asked for after a completed bad deployment it went 'back' to that one: nothing happened", async () => {
    const bad = await world.rolledOut("v2", { batch: 6 });
    await world.finished((await rollback(bad.id)).id);
    expect(world.versions()).toEqual(["v1"]);
  });

  test("the reset turned every failed instance into UNKNOWN, unrelated ones too", async () => {
    world.addAgent("db-1", { tier: "db" });
    await world.advance(3_000);
    await world.rolledOut("v1", { selector: "tier=db" });
    world.agent("db-1").fail("its disk is full");
    world.behave({ v2: { fails: true } }, ["web-1", "web-2"]);
    const bad = await world.rolledOut("v2");
    await world.finished(bad.rolledBackBy ?? "");
    expect(await world.instance("db-1")).toMatchObject({
      status: "FAILED",
      reason: { message: "its disk is full" },
    });
  });
});

describe("fleets that change", () => {
  test("the number of instances was frozen: with a late joiner it completed too early", async () => {
    world.behave({ v2: { tookMs: 3_000 } });
    const { id } = await world.deploy("v2", { batch: 2 });
    await world.advance(5_000);
    world.addAgent("web-7", { tier: "web" }).behaviour = () => ({ tookMs: 3_000 });
    expect(await world.finished(id)).toMatchObject({
      outcome: "completed",
      counts: { total: 7, succeeded: 7 },
    });
    expect(world.versions()).toEqual(["v2"]);
  });

  test("and with one that left it never completed", async () => {
    world.behave({ v2: { hangs: true } }, ["web-6"]);
    const { id } = await world.deploy("v2", { batch: 2 });
    await world.advance(10_000);
    world.agent("web-6").stop();
    await world.advance(100);
    await world.call("instances.remove", { instance: "web-6" });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { total: 5 } });
  });

  test("a selector that matched nothing left a deployment running for ever, and blocked all others", async () => {
    expect(await refusalOf(world.deploy("v2", { selector: "tier=none" }))).toMatchObject({
      code: "NO_MATCHING_INSTANCES",
    });
    expect(await world.rolledOut("v2", { batch: 6 })).toMatchObject({ outcome: "completed" });
  });

  test("silent instances were in progress for ever: there was no deadline of any kind", async () => {
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 30_000 });
    await world.advance(1_000);
    world.agent("web-1").stop();
    expect(await world.finished(id, 60_000)).toMatchObject({ outcome: "failed", counts: { failed: 1 } });
  });

  test("nothing went on by itself: somebody had to ask for progress", async () => {
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(15_000);
    expect(await world.view(id)).toMatchObject({ outcome: "completed" });
  });
});
