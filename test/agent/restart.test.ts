import { describe, expect, test } from "vitest";
import { journalKinds } from "../../src/agent/journal.js";
import { createMemoryHost } from "../../src/agent/memory/memory-host.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AgentWorld, fleet, release } from "./agent-kit.js";

async function active(change: Parameters<typeof release>[1] = {}) {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1", change));
  await world.untilActive("v1");
  await world.clock.advance(5_000);
  return world;
}

describe("an agent that starts again", () => {
  test("has the same id and another incarnation", async () => {
    const world = await active();
    const { agentId } = world.agent;
    const { incarnation } = world.lastReport();
    await world.restart();
    expect(world.agent.agentId).toBe(agentId);
    await world.clock.advance(100);
    expect(world.lastReport()).toMatchObject({ agent: agentId, observedGeneration: 1 });
    expect(world.lastReport().incarnation).not.toBe(incarnation);
  });

  test("adopts what runs: the process goes on, and its end is noticed", async () => {
    const world = await active();
    const { pid } = world.state();
    await world.restart();
    await world.until(() => world.state().health === "HEALTHY", 1_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", pid, restarts: 0 });
    if (pid !== null) world.host.processes.crash(pid);
    await world.until(() => world.state().restarts === 1 && world.state().health === "HEALTHY");
  });

  test("starts what should run and does not, without a control plane", async () => {
    const world = await active();
    await world.agent.stop();
    world.host.processes.reboot();
    world.ledger.cutOff = true;
    world.agent = world.newAgent();
    await world.agent.start();
    await world.until(() => world.state().health === "HEALTHY", 5_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", running: { release: "v1" }, restarts: 0 });
  });

  test("adopts a process that was started when its record said only that it was about to be", async () => {
    const world = new AgentWorld({ saveMs: 200, startMs: 50 });
    await world.start();
    world.tell(release("v1"));
    await world.until(() => world.host.processes.living.length === 1);
    const [started] = world.host.processes.living;
    await world.kill();
    await world.untilActive("v1");
    expect(world.state()).toMatchObject({ pid: started?.identity.pid, restarts: 0 });
    await world.clock.advance(5_000);
    expect(world.host.processes.living).toEqual([started]);
    await world.restart();
    await world.until(() => world.state().health === "HEALTHY", 5_000);
    expect(world.state()).toMatchObject({ pid: started?.identity.pid, restarts: 0 });
  });

  test("ends a process of which no record knows", async () => {
    const world = await active();
    await world.agent.stop();
    const start = {
      generation: 1,
      command: "node",
      cwd: "/",
      env: { PORT: "30000", ROLLCALL_RELEASE: "v0" },
    };
    await world.host.processes.start({ ...start, instance: "i1" });
    await world.host.processes.start({ ...start, instance: "gone", env: { ...start.env, PORT: "30001" } });
    expect(world.host.processes.living).toHaveLength(3);
    world.agent = world.newAgent();
    const started = world.agent.start();
    await world.clock.advance(1_000);
    await started;
    expect(world.host.processes.living.map((process) => process.release)).toEqual(["v1"]);
  });

  test("goes on with the phase that it was in", async () => {
    const world = await active();
    world.behave("v2", { slowMs: 5_000 });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "COPYING_FILES");
    await world.clock.advance(1_000);
    const pulls = world.host.files.steps.filter(({ step }) => step === "pull").length;
    await world.restart();
    expect(world.state().phase).toBe("COPYING_FILES");
    await world.untilActive("v2");
    expect(world.host.files.steps.filter(({ step }) => step === "pull")).toHaveLength(pulls);
    await world.clock.advance(5_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v2"]);
  });

  test("reads its desired state before it begins another phase", async () => {
    const world = await active();
    world.behave("v2", { slowMs: 5_000 });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "BUILDING");
    await world.agent.stop();
    world.tell(release("v3"));
    const builds = world.host.files.steps.filter(({ step }) => step === "build").length;
    world.agent = world.newAgent();
    await world.agent.start();
    await world.untilActive("v3");
    const built = world.host.files.steps.filter(({ step }) => step === "build").slice(builds);
    expect(built.map(({ release: version }) => version)).toEqual(["v3"]);
  });

  test("finishes the swap of `current` that was under way", async () => {
    const world = await active();
    world.behave("v2", { slowMs: 1_000 });
    world.tell(release("v2"));
    await world.until(() => world.host.files.steps.filter(({ step }) => step === "activate").length === 2);
    await world.restart();
    world.tell(release("v3"));
    await world.until(() => world.host.files.disk("i1").current === "v2");
    await world.untilActive("v3");
  });

  test("keeps its failure and does not try again by itself", async () => {
    const world = await active();
    world.behave("v2", { unhealthy: true });
    world.tell(release("v2"));
    await world.until(() => world.state().health === "FAILED");
    await world.until(() => world.state().running?.release === "v1");
    const { reason } = world.state();
    await world.restart();
    await world.clock.advance(10_000);
    expect(world.state()).toMatchObject({
      phase: "FAILED",
      health: "FAILED",
      reason,
      running: { release: "v1" },
    });
    expect(world.lastReport().observedGeneration).toBe(2);
  });

  test("does not forgive a process that was given up", async () => {
    const world = await active({ restarts: 0 });
    const { pid } = world.state();
    if (pid !== null) world.host.processes.crash(pid);
    await world.until(() => world.state().phase === "FAILED");
    await world.restart();
    await world.clock.advance(60_000);
    expect(world.host.processes.living).toEqual([]);
    expect(world.state()).toMatchObject({ phase: "FAILED", reason: { code: "PROCESS_EXITED" } });
  });

  test("stays stopped", async () => {
    const world = await active();
    world.tell(null);
    await world.until(() => world.state().phase === "STOPPED");
    await world.restart();
    await world.clock.advance(5_000);
    expect(world.state().phase).toBe("STOPPED");
    expect(world.host.processes.living).toEqual([]);
  });

  test("refuses records of a newer Rollcall, and leaves what runs alone", async () => {
    const world = await active();
    await world.agent.stop();
    world.host.records.plant(journalKinds.instance, "i1", { format: 2 });
    world.agent = world.newAgent();
    await expect(world.agent.start()).rejects.toMatchObject({ code: "LEDGER_NEWER" });
    expect(world.host.processes.living).toHaveLength(1);
  });

  test("makes do without a record that nobody can read", async () => {
    const world = await active();
    await world.agent.stop();
    world.host.records.plant(journalKinds.instance, "i1", { format: 1, nonsense: true });
    world.host.records.plant(journalKinds.process, "i1.a", "nonsense");
    world.agent = world.newAgent();
    const started = world.agent.start();
    await world.clock.advance(1_000);
    await started;
    expect(world.agent.stats.complaints.journalUnreadable).toBe(2);
    await world.untilActive("v1");
    await world.clock.advance(2_000);
    expect(world.host.processes.living).toHaveLength(1);
  });
});

describe("an agent whose disk has lost something", () => {
  test("goes on with the processes whose instance's record is lost, and ends none of them", async () => {
    const world = await active({ order: "startFirst" });
    const { pid, port } = world.state();
    await world.agent.stop();
    world.host.records.plant(journalKinds.instance, "i1", "torn");
    world.ledger.cutOff = true;
    world.agent = world.newAgent();
    await world.passing(world.agent.start());
    await world.until(() => world.state().health === "HEALTHY", 5_000);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", pid, port, running: { release: "v1" } });
    world.ledger.cutOff = false;
    world.tell(release("v2"));
    await world.untilActive("v2");
    await world.clock.advance(5_000);
    expect(world.host.processes.living.map((process) => process.release)).toEqual(["v2"]);
  });

  test("is the same agent still when the record of its id is lost", async () => {
    const world = await active();
    const { agentId } = world.agent;
    await world.agent.stop();
    world.host.records.plant(journalKinds.agent, "agent", "torn");
    world.agent = world.newAgent();
    await world.passing(world.agent.start());
    expect(world.agent.agentId).toBe(agentId);
    expect(world.agent.stats.complaints.journalUnreadable).toBe(1);
  });

  test("puts the link and the routes right at its start", async () => {
    const world = await active();
    const { port } = world.state();
    await world.agent.stop();
    const disk = world.host.files.disk("i1");
    disk.current = null;
    disk.published = null;
    world.agent = world.newAgent();
    await world.passing(world.agent.start());
    await world.clock.advance(100);
    expect(world.host.files.disk("i1")).toMatchObject({ current: "v1", published: { release: "v1", port } });
  });
});

describe("a port that another program has taken while nothing ran", () => {
  const reboot = async (world: AgentWorld) => {
    await world.agent.stop();
    const ports = world.host.processes.living.map((process) => process.port);
    world.host.processes.reboot();
    for (const port of ports) world.host.processes.occupy(port);
    world.agent = world.newAgent();
    await world.passing(world.agent.start());
  };

  test.each([0, 3])(
    "is given up for a free one, and the routes lead there (restarts %i)",
    async (restarts) => {
      const world = await active({ restarts });
      const { port } = world.state();
      await reboot(world);
      await world.until(() => world.state().health === "HEALTHY", 10_000);
      const moved = world.state().port;
      expect(moved).not.toBe(port);
      expect(world.host.files.disk("i1").published).toEqual({ release: "v1", port: moved });
      expect(world.reports.every(({ state }) => state?.health !== "FAILED")).toBe(true);
      await world.restart();
      expect(world.state().port).toBe(moved);
    },
  );

  test("is given up while the new process is to prove itself, too", async () => {
    const world = await active();
    world.behave("v2", { healthyAfterMs: 3_000 });
    world.tell(release("v2", { order: "startFirst" }));
    await world.until(() => world.host.processes.living.length === 2);
    await reboot(world);
    await world.untilActive("v2");
    const { port } = world.state();
    expect(world.host.files.disk("i1").published).toEqual({ release: "v2", port });
    await world.clock.advance(5_000);
    expect(world.host.processes.living.map((process) => [process.release, process.port])).toEqual([
      ["v2", port],
    ]);
  });

  test("is given up for what serves again after a failed update", async () => {
    const world = await active();
    world.behave("v2", { unhealthy: true });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "FAILED" && world.state().running?.release === "v1");
    await reboot(world);
    await world.until(() => world.state().running?.release === "v1");
    const { port } = world.state();
    expect(world.host.files.disk("i1").published).toEqual({ release: "v1", port });
    expect(world.host.processes.onPort(port ?? 0)?.release).toBe("v1");
  });

  test("is a failure if it is the one that was asked for", async () => {
    const world = await active({ port: 8_080 });
    await reboot(world);
    await world.until(() => world.state().health === "FAILED");
    expect(world.state()).toMatchObject({ phase: "FAILED", reason: { code: "PORT_IN_USE" } });
  });
});

describe("an agent that stops", () => {
  test("leaves the processes running and is silent", async () => {
    const world = await active();
    await world.agent.stop();
    const heard = world.reports.length;
    await world.clock.advance(10_000);
    expect(world.reports).toHaveLength(heard);
    expect(world.host.processes.living).toHaveLength(1);
    expect(world.clock.pending).toBe(0);
  });

  test("in mid-update leaves no work behind", async () => {
    const world = await active();
    world.behave("v2", { slowMs: 10_000 });
    world.tell(release("v2"));
    await world.until(() => world.state().phase === "BUILDING");
    await world.agent.stop();
    await world.clock.advance(60_000);
    expect(world.host.files.disk("i1").built.has("v2")).toBe(false);
    expect(world.clock.pending).toBe(0);
  });

  test("ends the processes when told to, and starts them again the next time", async () => {
    const world = await active();
    const stopped = world.agent.stop({ stopProcesses: true });
    await world.clock.advance(1_000);
    await stopped;
    expect(world.host.processes.living).toEqual([]);
    world.agent = world.newAgent();
    await world.agent.start();
    await world.until(() => world.state().health === "HEALTHY", 5_000);
  });

  test("leaves the fleet when told to: processes end, the control plane is asked to forget, no record is left", async () => {
    const world = await active();
    const asked: unknown[] = [];
    world.observer.subscribe("rollcall.v1.test.api.instances.remove", (message) => {
      asked.push(JSON.parse(new TextDecoder().decode(message.data)));
      message.respond("{}");
    });
    const stopped = world.agent.stop({ leave: true });
    await world.clock.advance(1_000);
    await stopped;
    expect(asked).toMatchObject([{ instance: "i1", by: `agent ${world.agent.agentId}` }]);
    expect(world.host.processes.living).toEqual([]);
    expect(world.lastReport().state).toMatchObject({ running: null });
    expect(await world.host.records.load(journalKinds.instance)).toEqual([]);
    expect(await world.host.records.load(journalKinds.process)).toEqual([]);
  });

  test("in mid-update leaves neither the old process nor the new one when told to end them", async () => {
    const world = await active();
    world.behave("v2", { healthyAfterMs: 5_000 });
    world.tell(release("v2", { order: "startFirst" }));
    await world.until(() => world.host.processes.living.length === 2);
    await world.passing(world.agent.stop({ stopProcesses: true }));
    await world.clock.advance(10_000);
    expect(world.host.processes.living).toEqual([]);
    expect(world.lastReport().state).toMatchObject({ running: null, pid: null, health: "UNKNOWN" });
  });

  test("leaves also when nobody listens", async () => {
    const world = await active();
    const stopped = world.agent.stop({ leave: true });
    await world.clock.advance(10_000);
    await stopped;
    expect(world.host.processes.living).toEqual([]);
  });
});

describe("a full disk of records", () => {
  test("holds an instance up until there is room, and nothing is lost", async () => {
    const world = await active();
    world.host.records.setFull(true);
    world.tell(release("v2"));
    await world.until(
      () =>
        world.state().reason?.code === "DISK_FULL" || world.lastReport().state?.reason?.code === "DISK_FULL",
    );
    await world.clock.advance(20_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v1"]);
    expect(world.host.files.steps.some(({ release: version }) => version === "v2")).toBe(false);
    world.host.records.setFull(false);
    await world.untilActive("v2");
    await world.clock.advance(2_000);
    expect(world.host.processes.livingOf("i1").map((process) => process.release)).toEqual(["v2"]);
  });

  test("while a process dies: it is started again when there is room", async () => {
    const world = await active();
    world.host.records.setFull(true);
    const { pid } = world.state();
    if (pid !== null) world.host.processes.crash(pid);
    await world.clock.advance(10_000);
    expect(world.host.processes.living).toEqual([]);
    world.host.records.setFull(false);
    await world.until(() => world.state().health === "HEALTHY");
    expect(world.host.processes.living).toHaveLength(1);
  });

  test("an agent that leaves meanwhile leaves no process behind", async () => {
    const world = await active();
    world.host.records.setFull(true);
    const stopped = world.agent.stop({ leave: true });
    await world.clock.advance(30_000);
    await stopped;
    expect(world.host.processes.living).toEqual([]);
    expect(await world.host.records.load(journalKinds.instance)).toEqual([]);
  });

  test("an instance that is taken up again refuses the leaders that it refused before", async () => {
    const world = await active();
    const ask = (epoch: number) =>
      world.passing(
        world.observer.request(subjectsOf(fleet).ask("i1", "report"), JSON.stringify({ epoch }), {
          timeoutMs: 1_000,
        }),
      );
    world.host.records.setFull(true);
    await ask(9);
    await world.clock.advance(500);
    expect((await ask(8)).header("Nats-Service-Error-Code")).toBe("409");
    await world.clock.advance(10_000);
    expect((await ask(8)).header("Nats-Service-Error-Code")).toBe("409");
  });
});

describe("what an agent is given", () => {
  const host = (world: AgentWorld) => createMemoryHost({ clock: world.clock, random: world.random });

  test.each([
    [[{ id: "é", labels: {} }], "BAD_NAME"],
    [[{ id: "", labels: {} }], "BAD_NAME"],
    [[{ id: "i1", labels: { "a b": "c" } }], "BAD_NAME"],
    [
      [
        { id: "i1", labels: {} },
        { id: "i1", labels: {} },
      ],
      "BAD_REQUEST",
    ],
  ])("is refused before anything is done: %j", async (instances, code) => {
    const world = new AgentWorld({ agent: { instances } });
    await expect(world.agent.start()).rejects.toMatchObject({ code });
    expect(host(world).records.saved).toBe(0);
  });
});
