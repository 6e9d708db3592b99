import { describe, expect, test } from "vitest";
import { reportSchema } from "../../src/contracts/instance.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AgentWorld, fleet, release } from "./agent-kit.js";

async function active() {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  await world.clock.advance(10_000);
  return world;
}

async function ask(world: AgentWorld, verb: string, body: unknown) {
  const answering = world.observer.request(
    subjectsOf(fleet).ask("i1", verb),
    typeof body === "string" ? body : JSON.stringify(body),
    { timeoutMs: 1_000 },
  );
  await world.clock.advance(10);
  const answer = await answering;
  return {
    body: JSON.parse(new TextDecoder().decode(answer.data)) as unknown,
    code: answer.header("Nats-Service-Error-Code"),
  };
}

describe("reports", () => {
  test("register the instance: the first says everything", async () => {
    const world = new AgentWorld();
    await world.start();
    expect(world.reports[0]).toMatchObject({
      instance: "i1",
      agent: world.agent.agentId,
      seq: 0,
      observedGeneration: 0,
      ledgerId: null,
      state: {
        labels: { tier: "web" },
        health: "UNKNOWN",
        phase: "STOPPED",
        running: null,
        agentVersion: "1.2.3",
      },
    });
  });

  test("come at their interval, a little earlier each by chance, with the whole state each tenth time", async () => {
    const world = await active();
    const from = world.reports.length;
    await world.clock.advance(40_000);
    const regular = world.reports.slice(from);
    expect(regular.length).toBeGreaterThanOrEqual(20);
    expect(regular.length).toBeLessThanOrEqual(23);
    for (const { seq, state } of regular) expect(state !== undefined).toBe(seq % 10 === 0);
  });

  test("come soon after each change, with the whole state, and changes close together share one", async () => {
    const world = await active();
    const from = world.reports.length;
    const { pid } = world.state();
    if (pid !== null) world.host.processes.crash(pid);
    await world.clock.advance(30);
    expect(world.reports.slice(from)).toHaveLength(1);
    expect(world.lastReport().state).toMatchObject({ running: null });
  });

  test("come at the very moment at which the instance has been healthy for as long as is asked", async () => {
    const world = new AgentWorld({ agent: { reportIntervalMs: 60_000 } });
    await world.start();
    world.tell(release("v1"), { minHealthyMs: 7_000 });
    await world.until(() => world.lastReport().healthyForMs >= 7_000);
    expect(world.lastReport().healthyForMs).toBe(7_000);
  });

  test("count the time of health anew when the agent has stood still: nobody has watched meanwhile", async () => {
    const world = await active();
    expect(world.lastReport().healthyForMs).toBeGreaterThan(8_000);
    const from = world.reports.length;
    await world.stall(60_000);
    expect(world.reports).toHaveLength(from);
    await world.clock.advance(100);
    expect(world.reports[from]?.healthyForMs).toBeLessThan(10);
    await world.clock.advance(10_000);
    expect(world.lastReport().healthyForMs).toBeGreaterThan(8_000);
  });

  test("number themselves, and say the same digest as long as nothing changes", async () => {
    const world = await active();
    const from = world.reports.length;
    await world.clock.advance(20_000);
    const digests = new Set(world.reports.slice(from).map(({ digest }) => digest));
    expect(digests.size).toBe(1);
    expect(world.reports.map(({ seq }) => seq)).toEqual(world.reports.map((_, at) => at));
  });

  test("of progress alone come less often", async () => {
    const world = new AgentWorld();
    await world.start();
    const { pull } = world.host.files;
    world.host.files.pull = async (work) => {
      for (let percent = 0; percent < 100; percent++) {
        await new Promise<void>((resolve) => world.clock.setTimer(10, resolve));
        work.progress(percent, `${percent} of 100`);
      }
      await pull.call(world.host.files, work);
    };
    const from = world.reports.length;
    world.tell(release("v1"));
    await world.clock.advance(1_000);
    expect(world.reports.length - from).toBeLessThan(8);
    expect(world.lastReport().state?.progress).toBeGreaterThan(50);
  });

  test("say for how long the phase has not moved", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { hangsIn: "build" });
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "BUILDING");
    await world.clock.advance(30_000);
    expect(world.lastReport().phaseAgeMs).toBeGreaterThan(27_000);
  });

  test("say everything again after a reconnect", async () => {
    const world = await active();
    world.hub.disconnect(world.connection);
    await world.clock.advance(5_000);
    const from = world.reports.length;
    world.hub.reconnect(world.connection);
    await world.clock.advance(50);
    expect(world.reports[from]?.state).toMatchObject({ phase: "ACTIVE" });
  });
});

describe("requests", () => {
  test("to report are answered with the whole report, which also goes out", async () => {
    const world = await active();
    const from = world.reports.length;
    const { body } = await ask(world, "report", {});
    expect(reportSchema.parse(body).state).toMatchObject({ phase: "ACTIVE" });
    expect(world.reports.slice(from)).toEqual([body]);
    expect((await ask(world, "report", "")).body).toMatchObject({ state: { phase: "ACTIVE" } });
  });

  test("may set the interval of the reports", async () => {
    const world = await active();
    await ask(world, "report", { intervalMs: 10_000, epoch: 1 });
    const from = world.reports.length;
    await world.clock.advance(40_000);
    expect(world.reports.length - from).toBeLessThanOrEqual(5);
  });

  test("of an epoch that is over are refused, also after a restart", async () => {
    const world = await active();
    expect((await ask(world, "report", { epoch: 7 })).code).toBeUndefined();
    expect(await ask(world, "report", { epoch: 6 })).toMatchObject({
      code: "409",
      body: { error: { code: "STALE_EPOCH" } },
    });
    await world.restart();
    await world.clock.advance(100);
    expect(await ask(world, "report", { epoch: 6 })).toMatchObject({
      body: { error: { code: "STALE_EPOCH" } },
    });
    expect(world.agent.stats.complaints.askStale).toBe(1);
  });

  test("of a newer ledger, which counts its epochs anew, are taken; of an older one they are not", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"), { ledgerId: "m2000000000000-b" });
    await world.untilActive("v1");
    expect((await ask(world, "report", { epoch: 7, ledgerId: "m2000000000000-b" })).code).toBeUndefined();
    for (const ledgerId of ["m2000000000000-b", "m1000000000000-a", "of an early Rollcall"])
      expect(await ask(world, "report", { epoch: 1, ledgerId })).toMatchObject({ code: "409" });
    expect((await ask(world, "report", { epoch: 1, ledgerId: "m3000000000000-c" })).code).toBeUndefined();
  });

  test("that cannot be understood are refused", async () => {
    const world = await active();
    for (const [verb, body] of [
      ["report", "not json"],
      ["report", { intervalMs: 0 }],
      ["report", { epoch: "x" }],
      ["dance", {}],
    ] as const)
      expect(await ask(world, verb, body)).toMatchObject({
        code: "400",
        body: { error: { code: "BAD_REQUEST" } },
      });
    expect(world.agent.stats.complaints.askGarbage).toBe(4);
  });
});
