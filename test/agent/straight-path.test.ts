import { describe, expect, test } from "vitest";
import { phases } from "../../src/contracts/instance.js";
import { AgentWorld, release } from "./agent-kit.js";

describe("an instance that is told a release", () => {
  test("goes through the phases in their order, and serves it", async () => {
    const world = new AgentWorld();
    world.behave("v1", { slowMs: 1_000 });
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    await world.clock.advance(100);

    const seen = world.reports.flatMap(({ state }) => state?.phase ?? []);
    const order = seen.filter((phase, at) => phase !== seen[at - 1] && phase !== "STOPPED");
    expect(order).toEqual(phases.filter((phase) => phase !== "QUEUED"));
    expect(world.host.files.disk("i1")).toMatchObject({ current: "v1", next: null, staged: null });
    const [process] = world.host.processes.livingOf("i1");
    expect(world.state()).toMatchObject({
      health: "HEALTHY",
      reason: null,
      running: { release: "v1", config: null },
      phase: "ACTIVE",
      progress: 100,
      port: process?.port,
      pid: process?.identity.pid,
      restarts: 0,
    });
    expect(world.host.files.disk("i1").published).toEqual({ release: "v1", port: process?.port });
  });

  test("says the generation that it acts on from the first phase on", async () => {
    const world = new AgentWorld();
    world.behave("v1", { slowMs: 1_000 });
    await world.start();
    expect(world.lastReport()).toMatchObject({ observedGeneration: 0, ledgerId: null });
    world.tell(release("v1"), { generation: 7 });
    await world.clock.advance(200);
    expect(world.lastReport()).toMatchObject({ observedGeneration: 7, ledgerId: "ledger-1" });
    expect(world.state().phase).toBe("PULLING_SOURCE");
  });

  test("hands the process its port, its names, its configuration and its own environment", async () => {
    const world = new AgentWorld();
    await world.start();
    const started = spyOnStarts(world);
    const config = {
      version: "c1",
      object: { name: "c1", digest: `sha256:${"1".repeat(64)}`, sizeBytes: 1 },
    };
    world.tell(null, { run: { release: release("v1", { env: { COLOUR: "blue" } }), config } });
    await world.untilActive("v1");
    expect(started[0]).toMatchObject({
      command: "node server.js",
      cwd: "/memory/i1/releases/v1",
      env: {
        COLOUR: "blue",
        PORT: String(world.state().port),
        ROLLCALL_INSTANCE: "i1",
        ROLLCALL_RELEASE: "v1",
        ROLLCALL_CONFIG: "c1",
        ROLLCALL_CONFIG_FILE: "/memory/i1/configs/c1",
      },
    });
    expect(world.state().running).toEqual({ release: "v1", config: "c1" });
  });

  test("takes a fixed port where the release names one", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1", { port: 8_080 }));
    await world.untilActive("v1");
    expect(world.state().port).toBe(8_080);
    world.tell(release("v2", { port: 8_080 }));
    await world.untilActive("v2");
    expect(world.state()).toMatchObject({ port: 8_080, restarts: 0 });
  });

  test("keeps the last releases on disk and removes older ones", async () => {
    const world = new AgentWorld();
    await world.start();
    for (const version of ["v1", "v2", "v3", "v4", "v5"]) {
      world.tell(release(version));
      await world.untilActive(version);
    }
    await world.clock.advance(1_000);
    expect([...world.host.files.disk("i1").copied]).toEqual(["v3", "v4", "v5"]);
  });

  test("prepares several instances at a time, each on its own", async () => {
    const world = new AgentWorld({ instances: ["i1", "i2", "i3"] });
    await world.start();
    for (const instance of ["i1", "i2", "i3"]) world.tell(release("v1"), { instance, generation: 1 });
    for (const instance of ["i1", "i2", "i3"]) await world.untilActive("v1", instance);
    expect(new Set(["i1", "i2", "i3"].map((instance) => world.state(instance).port)).size).toBe(3);
  });
});

describe("the order of the processes", () => {
  test("with stopFirst the old process is gone before the new one starts", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    let both = 0;
    world.tell(release("v2", { order: "stopFirst" }));
    await world.until(() => {
      both = Math.max(both, world.host.processes.livingOf("i1").length);
      return world.state().running?.release === "v2";
    });
    expect(both).toBe(1);
  });

  test("with startFirst the old one serves until the new one is healthy", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.behave("v2", { healthyAfterMs: 1_500 });
    world.tell(release("v2", { order: "startFirst" }));
    const serving = new Set<string>();
    await world.until(() => {
      serving.add(world.state().running?.release ?? "nothing");
      return world.state().running?.release === "v2";
    });
    expect([...serving]).toEqual(["v1", "v2"]);
    await world.clock.advance(2_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v2"]);
  });
});

describe("what is active already", () => {
  test("is active again at once under a new generation, without a restart", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.until(() => world.lastReport().healthyForMs >= 3_000);
    const { pid } = world.state();
    const steps = world.host.files.steps.length;
    const { generation } = world.tell(release("v1"));
    await world.until(() => world.lastReport().observedGeneration === generation);
    expect(world.lastReport().healthyForMs).toBeGreaterThanOrEqual(3_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", health: "HEALTHY", pid });
    expect(world.host.files.steps).toHaveLength(steps);
  });

  test("is started anew when its health checks fail", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    const { pid } = world.state();
    world.behave("v1", { unhealthy: true });
    await world.until(() => world.state().health === "FAILED");
    world.behave("v1", {});
    world.tell(release("v1"));
    await world.until(
      () =>
        world.state().phase === "ACTIVE" && world.state().health === "HEALTHY" && world.state().pid !== pid,
    );
  });

  test("is a matter of the configuration too", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    const object = { name: "c1", digest: `sha256:${"1".repeat(64)}`, sizeBytes: 1 };
    world.tell(null, { run: { release: release("v1"), config: { version: "c1", object } } });
    await world.until(() => world.state().running?.config === "c1");
    expect(world.state().phase).toBe("ACTIVE");
  });
});

describe("an instance that is told to stop", () => {
  test("takes its routes back, ends its process and says STOPPED", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    const { generation } = world.tell(null);
    await world.until(() => world.state().phase === "STOPPED");
    await world.clock.advance(100);
    expect(world.host.processes.living).toEqual([]);
    expect(world.host.files.disk("i1").published).toBeNull();
    expect(world.lastReport()).toMatchObject({
      observedGeneration: generation,
      state: { running: null, health: "UNKNOWN", port: null, pid: null },
    });
  });

  test("starts again when it is told a release", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.tell(null);
    await world.until(() => world.state().phase === "STOPPED");
    world.tell(release("v1"));
    await world.untilActive("v1");
  });

  test("keeps what it runs when its desired state is deleted", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.ledger.put("desired.instance.i1", undefined);
    await world.clock.advance(120_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", health: "HEALTHY" });
    await world.restart();
    await world.clock.advance(10_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", health: "HEALTHY" });
  });
});

function spyOnStarts(world: AgentWorld): Parameters<typeof world.host.processes.start>[0][] {
  const started: Parameters<typeof world.host.processes.start>[0][] = [];
  const { processes } = world.host;
  const start = processes.start.bind(processes);
  processes.start = (given) => {
    started.push(given);
    return start(given);
  };
  return started;
}
