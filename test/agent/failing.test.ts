import { describe, expect, test } from "vitest";
import type { Behaviour, WorkStep } from "../../src/agent/memory/behaviour.js";
import type { ErrorCode } from "../../src/contracts/errors.js";
import { AgentWorld, release } from "./agent-kit.js";

/** v1 serves; then v2 behaves as given and is told. Ends when v2 has failed. */
async function failOn(behaviour: Behaviour, change: Parameters<typeof release>[1] = {}) {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  const { pid } = world.state();
  const published = world.host.files.disk("i1").published;
  world.behave("v2", behaviour);
  const { generation } = world.tell(release("v2", change));
  await world.until(() => world.state().health === "FAILED", 1_000_000);
  return { world, generation, pid, published };
}

async function expectBackOnV1(
  { world, generation, published }: Awaited<ReturnType<typeof failOn>>,
  code: string,
) {
  await world.until(() => world.state().running?.release === "v1");
  await world.clock.advance(5_000);
  expect(world.lastReport()).toMatchObject({ observedGeneration: generation, healthyForMs: 0 });
  expect(world.state()).toMatchObject({
    phase: "FAILED",
    health: "FAILED",
    reason: { code },
    running: { release: "v1", config: null },
  });
  expect(world.state().reason?.message).not.toMatch(/\?/);
  expect(world.host.files.disk("i1")).toMatchObject({ current: "v1", next: null, staged: null, published });
  expect(world.host.processes.livingOf("i1").map(({ release, port }) => ({ release, port }))).toEqual([
    published,
  ]);
}

const failures: readonly (readonly [WorkStep, ErrorCode])[] = [
  ["pull", "CHECKSUM_MISMATCH"],
  ["build", "BUILD_FAILED"],
  ["copy", "DISK_FULL"],
  ["prepareNext", "DISK_FULL"],
  ["stageRoutes", "DISK_FULL"],
  ["activate", "RELOAD_FAILED"],
];

describe("a failure leaves what serves as it was", () => {
  test.each(failures)("of %s, by %s", async (failsIn, code) => {
    const failed = await failOn({ failsIn, code });
    const touched = failsIn === "activate";
    if (!touched) expect(failed.world.state().pid).toBe(failed.pid);
    await expectBackOnV1(failed, code);
  });

  test("of the health check: the old process starts again", async () => {
    const failed = await failOn({ unhealthy: true });
    await expectBackOnV1(failed, "HEALTH_CHECK_FAILED");
    expect(failed.world.state().reason?.message).toContain("failed 3 times in a row: HTTP 500");
  });

  test("of the health check with startFirst: the old process never stopped", async () => {
    const failed = await failOn({ unhealthy: true }, { order: "startFirst" });
    await expectBackOnV1(failed, "HEALTH_CHECK_FAILED");
    expect(failed.world.state().pid).toBe(failed.pid);
  });

  test("of a process that cannot be started", async () => {
    await expectBackOnV1(await failOn({ failsToStart: true }), "START_FAILED");
  });

  test("of a process that does not stay up, with its last words", async () => {
    const failed = await failOn({ exitsAfterMs: 100, unhealthy: true });
    await expectBackOnV1(failed, "PROCESS_EXITED");
    const message = failed.world.state().reason?.message;
    expect(message).toContain("exit code 1 and was restarted 3 times");
    expect(message).toContain("the last words of i1");
  });

  test("of a port that another program holds", async () => {
    const world = new AgentWorld();
    await world.start();
    world.host.processes.occupy(8_080);
    world.tell(release("v1", { port: 8_080, restarts: 0 }));
    await world.until(() => world.state().phase === "FAILED");
    expect(world.state().reason?.code).toBe("PORT_IN_USE");
  });

  test.each(["pull", "build", "copy", "prepareNext", "stageRoutes", "activate"] as const)(
    "of %s that never ends: after its time without progress",
    async (hangsIn) => {
      const failed = await failOn({ hangsIn });
      expect(failed.world.state().reason?.message).toContain("has not moved for 1m");
      await expectBackOnV1(failed, "PHASE_STUCK");
    },
  );

  test("of the first release: nothing serves, and nothing is left running", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { unhealthy: true });
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "FAILED");
    await world.clock.advance(2_000);
    expect(world.state()).toMatchObject({ health: "FAILED", running: null, port: null, pid: null });
    expect(world.host.processes.living).toEqual([]);
    expect(world.host.files.disk("i1")).toMatchObject({ current: null, published: null });
  });
});

describe("service is down as briefly as possible", () => {
  test("with stopFirst, only while the new process tries", async () => {
    const { world } = await failOn({ unhealthy: true });
    const before = world.clock.monotonicMs();
    await world.until(() => world.host.processes.livingOf("i1").some((process) => process.release === "v1"));
    expect(world.clock.monotonicMs() - before).toBeLessThan(50);
  });

  test("also when the failed process does not want to end", async () => {
    const { world } = await failOn({ unhealthy: true, endsAfterMs: 10_000 });
    const before = world.clock.monotonicMs();
    await world.until(() => world.host.processes.livingOf("i1").some((process) => process.release === "v1"));
    expect(world.clock.monotonicMs() - before).toBeLessThan(50);
    await world.clock.advance(2_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v1"]);
  });

  test("with one fixed port, the old process starts when the port is free", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1", { port: 8_080 }));
    await world.untilActive("v1");
    world.behave("v2", { unhealthy: true, endsAfterMs: 900 });
    world.tell(release("v2", { port: 8_080 }));
    await world.until(() => world.state().health === "FAILED");
    await world.until(() => world.state().running?.release === "v1");
    expect(world.state().restarts).toBe(0);
  });
});

describe("work that fails for want of a connection", () => {
  test("is tried again until it ends well", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { failsIn: "pull", code: "LEDGER_UNAVAILABLE", failsTimes: 4 });
    world.tell(release("v1"));
    await world.until(() => world.state().note.startsWith("again in a moment"));
    expect(world.state()).toMatchObject({ phase: "PULLING_SOURCE", health: "UNKNOWN" });
    await world.untilActive("v1");
  });

  test("is not tried for ever", async () => {
    const { world } = await failOn({ failsIn: "pull", code: "LEDGER_UNAVAILABLE" });
    expect(world.state().reason?.code).toBe("LEDGER_UNAVAILABLE");
  });
});

describe("after a failure", () => {
  test("another release is taken up", async () => {
    const { world } = await failOn({ failsIn: "build", code: "BUILD_FAILED" });
    world.tell(release("v3"));
    await world.untilActive("v3");
    expect(world.state()).toMatchObject({ health: "HEALTHY", reason: null });
  });

  test("the same release under a new generation is tried again", async () => {
    const { world } = await failOn({ failsIn: "build", code: "BUILD_FAILED", failsTimes: 1 });
    world.tell(release("v2"));
    await world.untilActive("v2");
  });

  test("what serves again is ACTIVE once it is told so and has proven itself, without a restart", async () => {
    const { world } = await failOn({ unhealthy: true });
    await world.until(() => world.state().running?.release === "v1");
    await world.clock.advance(5_000);
    const { pid } = world.state();
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "ACTIVE");
    await world.until(() => world.lastReport().healthyForMs >= 3_000);
    expect(world.state()).toMatchObject({ health: "HEALTHY", pid, running: { release: "v1" } });
  });

  test("told what served before at the very moment of the failure, it ends there", async () => {
    const { world } = await failOn({ unhealthy: true });
    world.tell(release("v1"));
    await world.untilActive("v1");
    await world.until(() => world.state().health === "HEALTHY");
    await world.clock.advance(2_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v1"]);
  });

  test("a stop that fails leaves the service running and says why", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { failsIn: "withdrawRoutes", code: "DISK_FULL" });
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.tell(null);
    await world.until(() => world.state().phase === "FAILED");
    await world.clock.advance(5_000);
    expect(world.state()).toMatchObject({ reason: { code: "DISK_FULL" }, running: { release: "v1" } });
  });
});
