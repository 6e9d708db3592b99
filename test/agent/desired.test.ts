import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keys } from "../../src/contracts/keys.js";
import { AgentWorld, release } from "./agent-kit.js";

const key = keys.desiredInstance("i1");

describe("a desired state that names another agent", () => {
  test("is not acted on; the agent says whose the instance is, and counts it", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"), { agent: "somebody-else" });
    await world.clock.advance(10_000);
    expect(world.host.files.steps).toEqual([]);
    expect(world.state()).toMatchObject({
      phase: "STOPPED",
      health: "UNKNOWN",
      reason: { code: "INSTANCE_TAKEN" },
    });
    expect(world.state().reason?.message).toContain("belongs to agent somebody-else");
    expect(world.agent.stats.complaints.desiredForeign).toBeGreaterThan(0);
    expect(world.lastReport().observedGeneration).toBe(0);
  });

  test("is not overtaken by an older one of its own that comes late", async () => {
    const world = new AgentWorld();
    await world.start();
    const own = world.desired(release("v1"));
    world.ledger.put(key, { ...own, agent: "somebody-else" }, 9);
    world.ledger.deliver({ key, value: own, revision: 8, writtenAtMs: 0 });
    await world.clock.advance(5_000);
    expect(world.host.files.steps).toEqual([]);
  });

  test("leaves what runs as it is, until the instance is given back", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.tell(release("v2"), { agent: "somebody-else" });
    await world.clock.advance(5_000);
    expect(world.state()).toMatchObject({ running: { release: "v1" }, phase: "ACTIVE" });
    world.tell(release("v3"));
    await world.untilActive("v3");
  });
});

test("two agents with the same instance: only the one that is named acts", async () => {
  const world = new AgentWorld();
  await world.start();
  const other = new AgentWorld({ seed: 2 });
  await other.start();
  const desired = world.desired(release("v1"));
  world.ledger.put(key, desired);
  other.ledger.put(key, desired);
  await world.untilActive("v1");
  await other.clock.advance(10_000);
  expect(world.agent.agentId).not.toBe(other.agent.agentId);
  expect(other.host.processes.living).toEqual([]);
  expect(other.state().reason?.code).toBe("INSTANCE_TAKEN");
});

describe("a desired state that cannot be understood", () => {
  test("of a newer format is refused, and the instance keeps what it runs", async () => {
    const world = new AgentWorld();
    await world.start();
    world.tell(release("v1"));
    await world.untilActive("v1");
    world.ledger.put(key, { ...world.desired(release("v2")), format: 2 });
    await world.clock.advance(5_000);
    expect(world.state().running?.release).toBe("v1");
    expect(world.agent.stats.complaints.desiredNewer).toBeGreaterThan(0);
  });

  test("of another instance is left out", async () => {
    const world = new AgentWorld();
    await world.start();
    world.ledger.put(key, world.desired(release("v1"), { instance: "i2" }));
    await world.clock.advance(5_000);
    expect(world.host.files.steps).toEqual([]);
    expect(world.agent.stats.complaints.desiredGarbage).toBeGreaterThan(0);
  });

  test("whatever it is, is counted and dropped, and the next good one is taken", async () => {
    const valid = new AgentWorld().desired(release("v1"));
    const garbage = fc.oneof(
      fc.jsonValue(),
      fc.record({
        format: fc.constant(1),
        ledgerId: fc.string(),
        instance: fc.string(),
        generation: fc.integer(),
      }),
      fc.constantFrom(...Object.keys(valid)).map((name) => ({ ...valid, [name]: { nested: [null] } })),
      fc.constantFrom(...Object.keys(valid)).map((name) => ({ ...valid, [name]: undefined })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(garbage, { minLength: 1, maxLength: 8 }), async (values) => {
        const world = new AgentWorld();
        await world.start();
        for (const value of values) world.ledger.put(key, value === undefined ? null : value);
        await world.clock.advance(1_000);
        expect(world.host.files.steps).toEqual([]);
        world.tell(release("v1"));
        await world.untilActive("v1");
        await world.agent.stop();
      }),
      { numRuns: 30 },
    );
  });
});
