import { describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";

const minuteMs = 60_000;

/** Patient with instances, so that only the progress deadline of one minute can end it. */
const asked = { deadlineMs: 60 * minuteMs, progressDeadlineMs: minuteMs, batch: 1 };

/** A fleet on v1 in which v2 never gets anywhere by itself. */
async function hangingFleet(): Promise<FleetWorld> {
  const world = await FleetWorld.ready(2);
  await world.rolledOut("v1");
  world.behave({ v2: { hangs: true } });
  return world;
}

/** The instance that v2 was told to, at work and moving every half a minute, each time in this way. */
async function moveOften(world: FleetWorld, times: number, change: (time: number) => object): Promise<void> {
  for (let time = 0; time < times; time++) {
    await world.advance(minuteMs / 2);
    world.agent("web-1").set(change(time));
  }
}

describe("a deployment that has not moved for its progress deadline", () => {
  test("fails and goes back, and the audit log says that it was stuck before it says that it failed", async () => {
    const world = await hangingFleet();
    const { id } = await world.deploy("v2", asked);
    const ended = await world.finished(id);
    expect(ended).toMatchObject({ outcome: "failed", reason: { code: "PROGRESS_DEADLINE" } });
    const events = world.eventsOf("deployment", id);
    expect(events).toContain("stuck");
    expect(events.indexOf("stuck")).toBeLessThan(events.indexOf("finished"));
    expect((await world.call("deployments.stuck", {})).items).toEqual([]);
  });

  test("is only reported if it was deployed so: it is listed, says why, and goes on when it moves", async () => {
    const world = await hangingFleet();
    const { id } = await world.deploy("v2", { ...asked, onStuck: "report" });
    expect((await world.call("status.get", {})).stuck).toBe(0);
    await world.advance(2 * minuteMs);
    const { items } = await world.call("deployments.stuck", {});
    expect(items).toMatchObject([
      { kind: "deployment", id, deployment: id, code: "PROGRESS_DEADLINE", action: "reported" },
    ]);
    expect(items[0]?.sentence).toContain("no instance had moved for 1m, the progress deadline");
    const { why } = await world.view(id);
    expect(why.rule).toBe("stuck");
    expect((await world.call("status.get", {})).stuck).toBe(1);

    world.agent("web-1").set({ note: "still at it" });
    await world.advance(2_500);
    expect((await world.view(id)).why.rule).not.toBe("stuck");
    expect((await world.call("deployments.stuck", {})).items).toEqual([]);
    expect(world.eventsOf("deployment", id).filter((what) => what === "stuck" || what === "moving")).toEqual([
      "stuck",
      "moving",
    ]);
  });

  test("stays so for the next leader, who is not fooled by what it has not seen before", async () => {
    const world = await hangingFleet();
    const { id } = await world.deploy("v2", { ...asked, onStuck: "report" });
    await world.advance(2 * minuteMs);
    world.kill();
    await world.startCoordinator("c2");
    await world.untilLed();
    await world.advance(20_000);
    expect((await world.view(id)).why.rule).toBe("stuck");
    expect(world.eventsOf("deployment", id).filter((what) => what === "stuck")).toEqual(["stuck"]);
  });
});

describe("a deployment that is merely old goes on for as long as something of it moves", () => {
  test.each([
    ["by its progress", (time: number) => ({ progress: time % 100 })],
    ["by what it says of its work, at the same percentage", (time: number) => ({ note: `line ${time}` })],
    ["by its phases", (time: number) => ({ phase: time % 2 === 0 ? "BUILDING" : "PULLING_SOURCE" })],
  ])("%s", async (_, change) => {
    const world = await hangingFleet();
    const { id } = await world.deploy("v2", asked);
    await moveOften(world, 20, change);
    expect((await world.view(id)).outcome).toBeNull();
    expect(world.eventsOf("deployment", id)).not.toContain("stuck");
  });

  test("by being healthy for as long as is asked", async () => {
    const world = await FleetWorld.ready(2);
    const ended = await world.rolledOut("v2", { ...asked, minHealthyMs: 3 * minuteMs });
    expect(ended.outcome).toBe("completed");
  });

  test("and while a person has paused it", async () => {
    const world = await hangingFleet();
    const { id } = await world.deploy("v2", asked);
    await world.call("deployments.pause", { deployment: id });
    await world.advance(10 * minuteMs);
    expect((await world.view(id)).outcome).toBeNull();
    expect(world.eventsOf("deployment", id)).not.toContain("stuck");
  });
});

test("a phase that its agent has marked failed because it did not move is listed until it is reset", async () => {
  const world = await FleetWorld.ready(2);
  await world.rolledOut("v1");
  world.behave({ v2: { hangs: true } });
  const { id } = await world.deploy("v2", { ...asked, failureThreshold: 2, rollback: "off" });
  await world.advance(5_000);
  const reason = { code: "PHASE_STUCK", message: "The phase BUILDING has not moved for 5m." };
  world.agent("web-1").set({ health: "FAILED", phase: "FAILED", running: null, reason });
  await world.advance(2_500);
  const { items } = await world.call("deployments.stuck", {});
  expect(items).toMatchObject([
    {
      kind: "phase",
      id: "web-1",
      deployment: id,
      code: "PHASE_STUCK",
      action: "failed",
      sentence: reason.message,
    },
  ]);
});
