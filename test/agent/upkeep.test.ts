import { describe, expect, test } from "vitest";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { AgentWorld, fleet, release } from "./agent-kit.js";

const everyMs = 60_000;

async function worldOn(version: string, epoch = 1): Promise<AgentWorld> {
  const world = new AgentWorld({ agent: { upkeepEveryMs: everyMs } });
  await world.start();
  world.tell(release(version), { epoch });
  await world.untilActive(version);
  await world.clock.advance(5_000);
  return world;
}

async function ask(world: AgentWorld, verb: string, body: object): Promise<Record<string, unknown>> {
  const subject = subjectsOf(fleet).ask("i1", verb);
  const answer = await world.passing(
    world.observer.request(subject, JSON.stringify(body), { timeoutMs: 60_000 }),
  );
  return JSON.parse(new TextDecoder().decode(answer.data)) as Record<string, unknown>;
}

function aZombie(world: AgentWorld): Promise<unknown> {
  return world.host.processes.start({
    instance: "i1",
    generation: 99,
    command: "sleep",
    cwd: "/",
    env: { PORT: "1", ROLLCALL_RELEASE: "v0" },
  });
}

describe("without a leader, an agent puts right on its host what is its own", () => {
  test("a link that was removed by hand, and one that leads elsewhere", async () => {
    const world = await worldOn("v1");
    for (const current of [null, "v0"]) {
      world.host.files.disk("i1").current = current;
      await world.clock.advance(2 * everyMs);
      expect(world.host.files.disk("i1").current).toBe("v1");
    }
  });

  test("routes that are not published any more", async () => {
    const world = await worldOn("v1");
    world.host.files.disk("i1").published = null;
    await world.clock.advance(2 * everyMs);
    expect(world.host.files.disk("i1").published).toMatchObject({ release: "v1" });
  });

  test("a process that no record owns is ended, and the service goes on", async () => {
    const world = await worldOn("v1");
    const { pid } = world.state();
    await world.passing(aZombie(world));
    expect(world.host.processes.livingOf("i1")).toHaveLength(2);
    await world.clock.advance(2 * everyMs);
    expect(world.host.processes.livingOf("i1").map(({ identity }) => identity.pid)).toEqual([pid]);
  });

  test("a release folder that was never complete is removed, one that was is kept", async () => {
    const world = await worldOn("v1");
    world.tell(release("v2"));
    await world.untilActive("v2");
    world.host.files.disk("i1").orphans.add("v0");
    await world.clock.advance(2 * everyMs);
    expect([...world.host.files.disk("i1").orphans]).toEqual([]);
    expect([...world.host.files.disk("i1").copied].sort()).toEqual(["v1", "v2"]);
  });

  test("a folder of an instance of which nothing is known is removed", async () => {
    const world = await worldOn("v1");
    world.host.files.disk("gone-9");
    await world.clock.advance(2 * everyMs);
    expect(await world.host.files.instances()).toEqual(["i1"]);
  });

  test("a release that is not whole any more is brought again by its phases", async () => {
    const world = await worldOn("v1");
    world.host.files.disk("i1").copied.delete("v1");
    await world.until(() => world.state().phase !== "ACTIVE", 2 * everyMs);
    await world.untilActive("v1");
    expect([...world.host.files.disk("i1").copied]).toEqual(["v1"]);
    expect(world.state().health).toBe("HEALTHY");
  });

  test("one that loses files again and again is repaired once, and told to a leader; the service goes on", async () => {
    const world = await worldOn("v1");
    world.host.files.disk("i1").copied.delete("v1");
    await world.until(() => world.state().phase !== "ACTIVE", 2 * everyMs);
    await world.untilActive("v1");
    const { pid } = world.state();
    world.host.files.disk("i1").copied.delete("v1");
    await world.clock.advance(5 * everyMs);
    expect(world.state()).toMatchObject({ pid, phase: "ACTIVE" });
    expect((await ask(world, "inventory", { epoch: 1 })).findings).toMatchObject([
      { key: "files of i1", verdict: "keep", what: expect.stringContaining("not whole again") },
    ]);
  });

  test("while an update is under way its files are left alone", async () => {
    const world = await worldOn("v1");
    world.behave("v2", { slowMs: 3 * everyMs });
    world.tell(release("v2", { stuckMs: 10 * everyMs }));
    await world.clock.advance(1_000);
    world.host.files.disk("i1").current = null;
    await world.clock.advance(2 * everyMs);
    expect(world.host.files.disk("i1").current).toBeNull();
  });
});

describe("asked by a leader, an agent", () => {
  test("says what it finds, changes nothing by that, and puts one thing right when told so", async () => {
    const world = await worldOn("v1");
    world.tell(release("v2"));
    await world.untilActive("v2");
    world.host.files.disk("i1").copied.add("v0");
    world.host.files.disk("i1").current = null;
    const inventory = await ask(world, "inventory", { epoch: 1, host: true });
    expect(inventory).toMatchObject({ instance: "i1", agent: world.agent.agentId, more: 0 });
    expect(inventory.findings).toMatchObject([
      { key: "link of i1", kind: "link", release: "v2", verdict: "mend" },
      { key: "release v0 of i1", kind: "release", release: "v0", verdict: "ask" },
    ]);
    expect(world.host.files.disk("i1").current).toBeNull();

    expect(await ask(world, "mend", { epoch: 1, key: "release v0 of i1" })).toMatchObject({
      outcome: "done",
    });
    expect(await ask(world, "mend", { epoch: 1, key: "link of i1" })).toMatchObject({ outcome: "done" });
    expect(world.host.files.disk("i1").current).toBe("v2");
    expect((await ask(world, "inventory", { epoch: 1 })).findings).toEqual([]);
  });

  test("counts what is gone already as done, and never removes what its own record needs", async () => {
    const world = await worldOn("v1");
    expect(await ask(world, "mend", { epoch: 1, key: "process 1 2" })).toMatchObject({ outcome: "gone" });
    expect(await ask(world, "mend", { epoch: 1, key: "release v1 of i1" })).toMatchObject({
      outcome: "gone",
    });
    expect([...world.host.files.disk("i1").copied]).toEqual(["v1"]);
  });

  test("refuses who leads no longer, and what it cannot understand", async () => {
    const world = await worldOn("v1", 5);
    for (const verb of ["inventory", "mend"]) {
      const refused = await ask(world, verb, { epoch: 4, key: "link of i1" });
      expect(refused).toMatchObject({ error: { code: "STALE_EPOCH" } });
    }
    expect(await ask(world, "mend", { epoch: 5 })).toMatchObject({ error: { code: "BAD_REQUEST" } });
    expect(await ask(world, "inventory", {})).toMatchObject({ error: { code: "BAD_REQUEST" } });
  });
});
