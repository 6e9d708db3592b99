import { describe, expect, test } from "vitest";
import { AgentWorld, release } from "./agent-kit.js";

async function active(change: Parameters<typeof release>[1] = {}) {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1", change));
  await world.until(() => world.state().phase === "ACTIVE" && world.lastReport().healthyForMs >= 3_000);
  return world;
}

function crash(world: AgentWorld): void {
  const { pid } = world.state();
  if (pid === null) throw new Error("nothing runs");
  world.host.processes.crash(pid);
}

async function backUp(world: AgentWorld, restarts: number): Promise<void> {
  await world.until(() => world.state().health === "HEALTHY" && world.state().restarts === restarts);
}

describe("a process that ends by itself", () => {
  test("is started again after a wait, and has to be healthy anew", async () => {
    const world = await active();
    const { pid } = world.state();
    crash(world);
    await world.clock.advance(50);
    expect(world.lastReport()).toMatchObject({
      healthyForMs: 0,
      state: {
        health: "UNKNOWN",
        running: null,
        phase: "ACTIVE",
        reason: { code: "PROCESS_EXITED" },
        restarts: 1,
      },
    });
    await backUp(world, 1);
    await world.clock.advance(50);
    expect(world.state()).toMatchObject({ reason: null, running: { release: "v1" } });
    expect(world.state().pid).not.toBe(pid);
    expect(world.lastReport().healthyForMs).toBeLessThan(1_000);
  });

  test("is given up after as many restarts in a row as its release allows", async () => {
    const world = await active({ restarts: 2 });
    world.behave("v1", { exitsAfterMs: 500 });
    crash(world);
    await world.until(() => world.state().phase === "FAILED");
    expect(world.state()).toMatchObject({
      health: "FAILED",
      running: null,
      restarts: 2,
      reason: { code: "PROCESS_EXITED" },
    });
    expect(world.state().reason?.message).toContain(
      "was restarted 2 times without success: the last words of i1",
    );
    const { pid } = world.state();
    await world.clock.advance(300_000);
    expect(world.host.processes.living).toEqual([]);
    expect(world.state()).toMatchObject({ pid, phase: "FAILED" });
  });

  test("is not restarted at all where its release says so", async () => {
    const world = await active({ restarts: 0 });
    crash(world);
    await world.until(() => world.state().phase === "FAILED", 1_000);
  });

  test("waits longer each time", async () => {
    const world = await active({ restarts: 4 });
    world.behave("v1", { exitsAfterMs: 1 });
    const starts: number[] = [];
    crash(world);
    let pid = world.state().pid;
    await world.until(() => {
      if (world.state().pid !== pid && world.state().pid !== null) {
        pid = world.state().pid;
        starts.push(world.clock.monotonicMs());
      }
      return world.state().phase === "FAILED";
    });
    const waits = starts.slice(1).map((at, index) => at - (starts[index] ?? 0));
    expect(waits).toHaveLength(3);
    expect([...waits].sort((one, other) => one - other)).toEqual(waits);
  });

  test("is forgiven earlier restarts once it has stayed up", async () => {
    const world = await active({ restarts: 1 });
    for (let crashes = 1; crashes <= 4; crashes++) {
      crash(world);
      await backUp(world, crashes);
      await world.clock.advance(61_000);
    }
    crash(world);
    await backUp(world, 5);
    crash(world);
    await world.until(() => world.state().phase === "FAILED", 5_000);
  });

  test("is tried anew when the same version is told again", async () => {
    const world = await active({ restarts: 0 });
    crash(world);
    await world.until(() => world.state().phase === "FAILED");
    world.tell(release("v1"));
    await world.untilActive("v1");
    expect(world.state()).toMatchObject({ restarts: 0, reason: null });
  });

  test("while the new version starts, does not end the update", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { exitsAfterMs: 300, exitsTimes: 2, healthyAfterMs: 500 });
    world.tell(release("v1"));
    await world.untilActive("v1");
    expect(world.state().restarts).toBe(2);
  });

  test("of the old version, while the new one is prepared, is started again", async () => {
    const world = await active();
    world.behave("v2", { slowMs: 5_000 });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "BUILDING");
    crash(world);
    await world.until(() => world.state().running === null);
    await world.until(() => world.state().running?.release === "v1", 3_000);
    expect(world.state()).toMatchObject({ phase: "BUILDING", health: "UNKNOWN" });
    await world.untilActive("v2");
  });

  test("for good, of the old version while the new one is prepared, is no failure of the new one", async () => {
    const world = await active({ restarts: 0 });
    world.behave("v2", { slowMs: 3_000 });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "BUILDING");
    crash(world);
    await world.clock.advance(1_000);
    expect(world.state()).toMatchObject({ phase: "BUILDING", health: "UNKNOWN", running: null });
    await world.untilActive("v2");
    expect(world.reports.some(({ state }) => state?.health === "FAILED")).toBe(false);
  });
});

describe("health checks", () => {
  test("that fail while the process starts do not count", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { healthyAfterMs: 9_000 });
    world.tell(release("v1", { check: { startPeriodMs: 10_000, retries: 1 } }));
    await world.untilActive("v1");
  });

  test("are made more often than their interval while the process starts", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { healthyAfterMs: 2_500 });
    world.tell(release("v1", { check: { startPeriodMs: 40_000, intervalMs: 30_000 } }));
    await world.until(() => world.state().phase === "ACTIVE", 10_000);
  });

  test("that fail as often as allowed make it FAILED while ACTIVE, and it recovers", async () => {
    const world = await active();
    world.behave("v1", { unhealthy: true });
    await world.clock.advance(1_900);
    expect(world.state()).toMatchObject({ health: "HEALTHY", phase: "ACTIVE" });
    await world.until(() => world.state().health === "FAILED", 2_000);
    await world.clock.advance(30);
    expect(world.state()).toMatchObject({
      phase: "ACTIVE",
      running: { release: "v1" },
      reason: { code: "HEALTH_CHECK_FAILED" },
    });
    expect(world.lastReport().healthyForMs).toBe(0);
    world.behave("v1", {});
    await world.until(() => world.state().health === "HEALTHY", 2_000);
    await world.clock.advance(30);
    expect(world.lastReport().healthyForMs).toBeLessThan(100);
  });

  test("begin the healthy time anew with each failure, also of a single one", async () => {
    const world = await active();
    await world.clock.advance(5_000);
    world.behave("v1", { unhealthy: true });
    await world.clock.advance(1_100);
    world.behave("v1", {});
    await world.clock.advance(3_000);
    expect(world.state().health).toBe("HEALTHY");
    expect(world.lastReport().healthyForMs).toBeLessThan(3_100);
  });

  test("pass on that the service is degraded, which is neither healthy nor failed", async () => {
    const world = await active();
    world.behave("v1", { degraded: true });
    await world.until(() => world.state().health === "DEGRADED", 2_000);
    await world.clock.advance(30);
    expect(world.lastReport().healthyForMs).toBe(0);
    expect(world.state().reason).toEqual({
      code: "DEGRADED",
      message: "the service says that it is degraded",
    });
    world.behave("v1", {});
    await world.until(() => world.state().health === "HEALTHY", 2_000);
  });

  test("of a new version that stays degraded keep it in HEALTH_CHECK", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { degraded: true });
    world.tell(release("v1"));
    await world.until(() => world.state().health === "DEGRADED");
    await world.clock.advance(200_000);
    expect(world.state()).toMatchObject({ phase: "HEALTH_CHECK", health: "DEGRADED" });
    world.behave("v1", {});
    await world.untilActive("v1");
  });

  test("that never answer count as failed", async () => {
    const world = await active();
    world.host.probes.check = () => new Promise(() => undefined);
    await world.until(() => world.state().health === "FAILED");
    expect(world.state().reason?.message).toContain("the check did not end");
  });
});
