import { describe, expect, test } from "vitest";
import { AgentWorld, release } from "./agent-kit.js";

const stuckMs = 60_000;

async function worldOnV1(): Promise<AgentWorld> {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  return world;
}

describe("a phase is stuck when it has not moved, however young or old it is", () => {
  test.each(["pull", "build", "copy", "activate"] as const)(
    "%s may take hours, as long as it says something in time",
    async (slow) => {
      const world = await worldOnV1();
      world.behave("v2", { tickerIn: slow, everyMs: stuckMs / 2, ticks: 100 });
      world.tell(release("v2", { stuckMs }));
      await world.until(() => world.state().running?.release === "v2", 100 * stuckMs);
      expect(world.state().phase).toBe("ACTIVE");
    },
  );

  test("a build that says nothing is not stuck before its own time limit", async () => {
    const world = await worldOnV1();
    world.behave("v2", { hangsIn: "build" });
    world.tell(release("v2", { stuckMs, build: { command: "make", timeoutMs: 5 * stuckMs } }));
    await world.until(() => world.state().phase === "BUILDING");
    await world.clock.advance(5 * stuckMs);
    expect(world.state().phase).toBe("BUILDING");
    await world.clock.advance(stuckMs);
    expect(world.state().reason).toMatchObject({ code: "PHASE_STUCK" });
    expect(world.state().reason?.message).toContain("has not moved for 5m30s");
  });

  test("an old process may take its grace time to end", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { endsAfterMs: 3 * stuckMs });
    world.tell(release("v1", { stuckMs, stop: { signal: "SIGTERM", graceMs: 4 * stuckMs } }));
    await world.untilActive("v1");
    world.tell(release("v2", { stuckMs }));
    await world.until(() => world.state().running?.release === "v2", 10 * stuckMs);
    expect(world.state()).toMatchObject({ phase: "ACTIVE", reason: null });
  });
});
