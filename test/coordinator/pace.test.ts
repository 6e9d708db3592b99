import { beforeEach, describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { refusalOf } from "../kit/refusals.js";

/** How many instances are away from what they served before: told by the deployment, and neither healthy there nor failed. */
function disrupted(world: FleetWorld, deployment: string): string[] {
  return [...world.agents.values()]
    .filter(({ desired, state }) => {
      if (desired === undefined || desired.deployment !== deployment) return false;
      const isThere = state.running?.release === desired.run?.release.version && state.health === "HEALTHY";
      return !isThere && state.health !== "FAILED";
    })
    .map(({ instance }) => instance);
}

let world: FleetWorld;

beforeEach(async () => {
  world = await FleetWorld.ready(6);
  new Invariants(world);
  await world.rolledOut("v1", { batch: 6 });
});

test("never are more in flight than the batch, at any moment; and the batch is made use of", async () => {
  for (const [at, agent] of [...world.agents.values()].entries())
    agent.behaviour = () => ({ tookMs: 300 + 700 * at });
  const { id } = await world.deploy("v2", { batch: "50%" });
  let most = 0;
  world.checks.push(() => {
    const count = disrupted(world, id).length;
    if (count > 3) throw new Error(`${count} at once`);
    most = Math.max(most, count);
  });
  expect(await world.finished(id)).toMatchObject({ outcome: "completed", batch: 3 });
  expect(most).toBe(3);
});

test("the report that frees a slot and the next desired state are one write: nobody waits for a tick", async () => {
  await world.deploy("v2", { batch: 1 });
  await world.until(() => world.agent("web-1").running === "v2");
  const healthyAtMs = world.clock.nowMs();
  await world.until(() => world.toldOf("v2").length === 2);
  expect(world.clock.nowMs() - healthyAtMs).toBeLessThanOrEqual(1_000 + 20);
});

test("failures below the threshold free their slots, and never block the rest", async () => {
  world.behave({ v2: { fails: true } }, ["web-1", "web-2", "web-3"]);
  const done = await world.rolledOut("v2", { batch: 2, failureThreshold: 4 });
  expect(done).toMatchObject({ outcome: "completed", counts: { succeeded: 3, failed: 3, inFlight: 0 } });
  expect((await world.instance("web-1")).stable?.release).toBe("v1");
  expect((await world.instance("web-4")).stable?.release).toBe("v2");
});

test("the failure that reaches the threshold ends it, and not the one before", async () => {
  world.behave({ v2: { fails: true } }, ["web-2", "web-5"]);
  const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 2 });
  await world.until(() => world.agent("web-5").state.health === "FAILED");
  const done = await world.finished(id);
  expect(done).toMatchObject({
    status: "FAILED",
    outcome: "failed",
    reason: {
      code: "FAILURE_THRESHOLD",
      message: "2 instances have failed; the failure threshold is 2. web-2, HEALTH_CHECK_FAILED: no answer",
    },
    counts: { succeeded: 3, failed: 2, waiting: 1 },
  });
  expect(world.toldOf("v2")).toEqual(["web-1", "web-2", "web-3", "web-4", "web-5"]);
});

test("an instance that fails after it succeeded counts too", async () => {
  world.behave({ v2: { failsAfterMs: 500 } }, ["web-1", "web-2"]);
  const { id } = await world.deploy("v2", { batch: 1 });
  const done = await world.finished(id);
  expect(done).toMatchObject({ outcome: "failed", counts: { failed: 2 } });
  await world.finished(done.rolledBackBy ?? "");
  expect(world.versions()).toEqual(["v1"]);
});

test("DEGRADED is neither success nor failure until the deadline", async () => {
  world.behave({ v2: { degraded: true } }, ["web-1"]);
  const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 20_000 });
  await world.advance(19_000);
  expect(await world.view(id)).toMatchObject({ state: "rolling", counts: { inFlight: 1, failed: 0 } });
  expect(await world.instance("web-1")).toMatchObject({ status: "DEGRADED", updateState: "IN_PROGRESS" });
  expect(await world.finished(id)).toMatchObject({ outcome: "failed", counts: { failed: 1 } });
});

test("an instance that gets nowhere fails by its own deadline, from the command on", async () => {
  world.behave({ v2: { hangs: true } }, ["web-3"]);
  const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 2, deadlineMs: 30_000 });
  await world.until(() => world.toldOf("v2").includes("web-3"));
  const toldAtMs = world.clock.nowMs();
  await world.until(() => world.eventsOf("instance", "web-3").at(-1) === "failed");
  expect(world.clock.nowMs() - toldAtMs).toBeGreaterThanOrEqual(30_000);
  expect(world.clock.nowMs() - toldAtMs).toBeLessThan(30_100);
  expect(await world.finished(id)).toMatchObject({
    outcome: "completed",
    counts: { succeeded: 5, failed: 1 },
  });
  expect(await world.instance("web-3")).toMatchObject({ updateState: "FAILED" });
});

test("a roll-out in which nothing moves for the progress deadline fails, though no instance has failed", async () => {
  world.behave({ v2: { hangs: true } });
  const asked = { deadlineMs: 600_000, progressDeadlineMs: 60_000 };
  const done = await world.rolledOut("v2", asked);
  expect(done).toMatchObject({
    outcome: "failed",
    reason: { code: "PROGRESS_DEADLINE" },
    counts: { failed: 0 },
  });
  await world.finished(done.rolledBackBy ?? "");
  expect(world.versions()).toEqual(["v1"]);
});

test("looking on costs no write: while nothing moves, the ledger takes nothing", async () => {
  world.behave({ v2: { hangs: true } });
  await world.deploy("v2");
  await world.advance(5_000);
  const before = world.store.events("default").length;
  await world.advance(50_000);
  expect(world.store.events("default")).toHaveLength(before);
});

describe("a paused roll-out", () => {
  test("tells nobody new; those in flight go on, and are counted", async () => {
    const { id } = await world.deploy("v2");
    await world.until(() => world.toldOf("v2").length === 2);
    const paused = await world.call("deployments.pause", { deployment: id, by: "anna", reason: "lunch" });
    expect(paused).toMatchObject({
      status: "RUNNING",
      state: "paused",
      paused: { by: "anna", reason: "lunch" },
    });
    await world.advance(300_000);
    expect(world.toldOf("v2")).toEqual(["web-1", "web-2"]);
    expect(await world.view(id)).toMatchObject({ state: "paused", counts: { succeeded: 2, waiting: 4 } });
    const resumed = await world.call("deployments.resume", { deployment: id, by: "anna" });
    expect(resumed).toMatchObject({ state: "rolling", paused: null, generation: 3, observedGeneration: 3 });
    expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 6 } });
  });

  test("has a clock that stands still: what is left of a deadline is left after it", async () => {
    world.behave({ v2: { hangs: true } }, ["web-1"]);
    const { id } = await world.deploy("v2", { batch: 1, failureThreshold: 1, deadlineMs: 30_000 });
    await world.advance(10_000);
    await world.call("deployments.pause", { deployment: id });
    await world.advance(3_600_000);
    expect(await world.view(id)).toMatchObject({ state: "paused", counts: { inFlight: 1, failed: 0 } });
    await world.call("deployments.resume", { deployment: id });
    await world.advance(19_000);
    expect(await world.view(id)).toMatchObject({ state: "rolling" });
    await world.advance(2_000);
    expect((await world.finished(id)).outcome).toBe("failed");
  });

  test("still goes back when the threshold is reached", async () => {
    world.behave({ v2: { fails: true, tookMs: 5_000 } });
    const { id } = await world.deploy("v2");
    await world.advance(1_000);
    await world.call("deployments.pause", { deployment: id });
    const done = await world.finished(id);
    expect(done).toMatchObject({ outcome: "failed", counts: { failed: 2 } });
    expect(await world.finished(done.rolledBackBy ?? "")).toMatchObject({ outcome: "rolled_back" });
    expect(world.versions()).toEqual(["v1"]);
  });

  test("does not complete, though all is done, before it is resumed", async () => {
    const { id } = await world.deploy("v2", { batch: 6 });
    await world.call("deployments.pause", { deployment: id });
    await world.advance(60_000);
    expect(await world.view(id)).toMatchObject({ state: "paused", counts: { succeeded: 6 } });
    await world.call("deployments.resume", { deployment: id });
    expect((await world.finished(id)).outcome).toBe("completed");
  });

  test("can be paused again and resumed once; what is not paused cannot be resumed", async () => {
    const { id } = await world.deploy("v2", { batch: 1 });
    const resume = () => world.call("deployments.resume", { deployment: id });
    expect(await refusalOf(resume())).toMatchObject({ code: "NOT_PAUSED", details: { deployment: id } });
    expect(await refusalOf(world.call("deployments.resume", { deployment: id, force: true }))).toMatchObject({
      code: "NOT_PAUSED",
    });
    await world.call("deployments.pause", { deployment: id });
    expect(await world.call("deployments.pause", { deployment: id })).toMatchObject({ state: "paused" });
    await resume();
    expect(await refusalOf(resume())).toMatchObject({ code: "NOT_PAUSED" });
    await world.finished(id);
    expect(await refusalOf(world.call("deployments.pause", { deployment: id }))).toMatchObject({
      code: "ALREADY_FINISHED",
      details: { outcome: "completed", verb: "pause" },
    });
  });
});
