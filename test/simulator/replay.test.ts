import { describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { replayOf } from "./recorded.js";

/** Everything in the log is decided as it was, and comes to these ends. */
async function expectSame(world: FleetWorld, ...ends: readonly string[]): Promise<void> {
  const { deployments, unplayed } = await replayOf(world);
  expect(deployments.flatMap(({ differences }) => differences)).toEqual([]);
  expect(deployments.map(({ recorded }) => recorded)).toEqual(ends);
  expect(deployments.map(({ today }) => today)).toEqual(ends);
  expect(unplayed).toEqual([]);
}

describe("a replay decides as the log says", () => {
  test("of roll-outs that complete, one after the other", async () => {
    const world = await FleetWorld.ready(6);
    await world.rolledOut("v1", { batch: 6 });
    await world.rolledOut("v2", { batch: "34%" });
    await expectSame(world, "completed", "completed");
  });

  test("of one that reaches its failure threshold and goes back", async () => {
    const world = await FleetWorld.ready(6);
    await world.rolledOut("v1", { batch: 6 });
    world.behave({ v2: { fails: true } }, ["web-3", "web-4"]);
    const { rolledBackBy } = await world.rolledOut("v2");
    await world.finished(rolledBackBy ?? "");
    await expectSame(world, "completed", "failed, rolled_back");
  });
});

describe("whatever people and instances did meanwhile:", () => {
  async function ready(instances = 6): Promise<FleetWorld> {
    const world = await FleetWorld.ready(instances);
    await world.rolledOut("v1", { batch: instances });
    return world;
  }

  test("a pause over a result, a deadline and some minutes, and a resumption", async () => {
    const world = await ready();
    world.behave({ v2: { tookMs: 20_000 } });
    world.behave({ v2: { hangs: true } }, ["web-2"]);
    const { id } = await world.deploy("v2", { deadlineMs: 60_000, by: "alice" });
    await world.advance(5_000);
    await world.call("deployments.pause", { deployment: id, by: "bob", reason: "lunch" });
    await world.advance(300_000);
    await world.call("deployments.resume", { deployment: id, by: "bob" });
    await world.finished(id);
    await expectSame(world, "completed", "completed");
  });

  test("an abort while instances are in flight", async () => {
    const world = await ready();
    world.behave({ v2: { hangs: true } }, ["web-3"]);
    const { id } = await world.deploy("v2");
    await world.advance(4_000);
    await world.call("deployments.abort", { deployment: id, by: "bob" });
    await world.finished(id);
    await expectSame(world, "completed", "aborted");
  });

  test("a leader that dies in the middle", async () => {
    const world = await ready();
    world.behave({ v2: { tookMs: 4_000 } });
    await world.startCoordinator("c2");
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(7_000);
    world.kill("c1");
    await world.untilLed();
    await world.finished(id);
    await expectSame(world, "completed", "completed");
  });

  test("instances that cannot be reached, all the time or for a while", async () => {
    const world = await ready(8);
    world.agent("web-2").stop();
    world.agent("web-5").stop();
    await world.advance(20_000);
    world.behave({ v2: { tookMs: 10_000 } });
    const { id } = await world.deploy("v2", { batch: 1 });
    await world.advance(30_000);
    world.agent("web-2").start();
    await world.finished(id);
    await expectSame(world, "completed", "completed");
  });

  test("so many silent ones that it is held, and goes on by itself or by force", async () => {
    const world = await ready(10);
    world.behave({ v2: { tookMs: 5_000 } });
    const cut = async (names: readonly string[]) => {
      for (const name of names) world.agent(name).stop();
      await world.advance(20_000);
    };
    const back = (names: readonly string[]) => {
      for (const name of names) world.agent(name).start();
    };
    const one = await world.deploy("v2", { batch: 1 });
    await world.advance(8_000);
    await cut(["web-7", "web-8", "web-9", "web-10"]);
    back(["web-7", "web-8", "web-9", "web-10"]);
    await world.finished(one.id);
    const two = await world.deploy("v3", { batch: 1 });
    await cut(["web-5", "web-6", "web-7", "web-8"]);
    await world.call("deployments.resume", { deployment: two.id, force: true, by: "bob" });
    await world.advance(10_000);
    back(["web-5", "web-6", "web-7", "web-8"]);
    await world.finished(two.id);
    await expectSame(world, "completed", "completed", "completed");
  });

  test("a fleet in which two roll-outs go on at once, and one is held by instances of the other", async () => {
    const world = await ready(5);
    for (let n = 1; n <= 9; n++) world.addAgent(`db-${n}`, { tier: "db" });
    await world.advance(12_000);
    world.behave({ v1: { tookMs: 3_000 }, v2: { tookMs: 20_000 } });
    world.behave({ v2: { fails: true } }, ["web-4"]);
    const one = await world.deploy("v2", { batch: 1, failureThreshold: 1 });
    const two = await world.deploy("v1", { batch: 2, selector: "tier!=web" });
    await world.finished(two.id);
    const away = ["db-1", "db-2", "db-3", "db-4", "db-5"];
    for (const name of away) world.agent(name).stop();
    await world.advance(20_000);
    expect(await world.view(one.id)).toMatchObject({ state: "held" });
    for (const name of away) world.agent(name).start();
    const { rolledBackBy } = await world.finished(one.id);
    await world.finished(rolledBackBy ?? "");
    await expectSame(world, "completed", "failed, rolled_back", "completed");
  });

  test("a person sends one back while it runs, one when it is over, and tries one again", async () => {
    const world = await ready();
    const one = await world.deploy("v2", { batch: 1 });
    await world.advance(4_000);
    await world.call("deployments.rollback", { deployment: one.id, by: "bob" });
    await world.advance(30_000);
    world.behave({ v3: { fails: true } }, ["web-2"]);
    const two = await world.rolledOut("v3", { rollback: "off", failureThreshold: 1, batch: 1 });
    await world.advance(30_000);
    world.behave({});
    await world.call("deployments.retry", { deployment: two.id, by: "bob" });
    await world.advance(60_000);
    const three = await world.rolledOut("v2");
    await world.advance(30_000);
    await world.call("deployments.rollback", { deployment: three.id, by: "bob" });
    await world.advance(60_000);
    await expectSame(
      world,
      ...["completed", "failed, rolled_back", "failed", "completed", "completed", "rolled_back"],
    );
  });

  test("instances join and leave, are reset, and move to another agent", async () => {
    const world = await ready();
    world.behave({ v2: { tookMs: 8_000 } });
    world.behave({ v2: { fails: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 3 });
    await world.advance(4_000);
    world.addAgent("web-7", { tier: "web" });
    await world.advance(3_000);
    world.behave({});
    await world.call("instances.reset", { instance: "web-1", by: "bob" });
    await world.advance(3_000);
    world.agent("web-5").stop();
    await world.call("instances.remove", { instance: "web-5", by: "bob" });
    world.agent("web-6").stop();
    world.addAgent("web-6", { tier: "web" }, "a-other");
    await world.call("instances.takeover", { instance: "web-6", agent: "a-other", by: "bob" });
    await world.finished(id);
    await expectSame(world, "completed", "completed");
  });

  test("one that is stuck and moves again, and one that fails by standing still", async () => {
    const world = await ready(3);
    world.behave({ v2: { hangs: true }, v3: { hangs: true } }, ["web-2"]);
    const slow = { batch: 1, deadlineMs: 600_000, progressDeadlineMs: 60_000 };
    const { id } = await world.deploy("v2", { ...slow, onStuck: "report" });
    await world.advance(90_000);
    world.agent("web-2").proceed();
    await world.finished(id);
    const { rolledBackBy } = await world.rolledOut("v3", slow);
    await world.finished(rolledBackBy ?? "");
    await expectSame(world, "completed", "completed", "failed, rollback_failed");
  });
});
