import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Phase } from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import { AgentWorld, release } from "./agent-kit.js";

/** v1 serves, v2 is on its way and slow, and has come to `phase`. */
async function comeTo(phase: Phase, change: Parameters<typeof release>[1] = {}) {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  world.behave("v2", { slowMs: 2_000, healthyAfterMs: 1_500, unhealthyAfterMs: 60_000 });
  world.tell(release("v2", change));
  await world.until(() => world.state().phase === phase);
  return world;
}

const inMidUpdate: readonly Phase[] = [
  "PULLING_SOURCE",
  "BUILDING",
  "COPYING_FILES",
  "CREATING_SYMLINKS",
  "UPDATING_ROUTES",
  "HEALTH_CHECK",
];

describe.each(inMidUpdate)("something newer in %s", (phase) => {
  test("is what counts: the work is cancelled and it begins with the new one", async () => {
    const world = await comeTo(phase);
    await world.clock.advance(30);
    world.tell(release("v3"));
    await world.until(() => world.state().phase === "PULLING_SOURCE" || world.state().phase === "QUEUED");
    await world.untilActive("v3");
    await world.clock.advance(2_000);
    expect(world.host.processes.livingOf("i1").map(({ release: version }) => version)).toEqual(["v3"]);
    expect(world.host.files.disk("i1")).toMatchObject({ current: "v3", next: null, staged: null });
    expect(world.reports.some(({ state }) => state?.running?.release === "v2")).toBe(false);
  });

  test("may be what serves already: it is ACTIVE again, and nothing of the other is left", async () => {
    const world = await comeTo(phase);
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "ACTIVE" && world.state().running?.release === "v1");
    await world.clock.advance(5_000);
    expect(world.state()).toMatchObject({ health: "HEALTHY" });
    expect(world.host.processes.livingOf("i1").map(({ release: version }) => version)).toEqual(["v1"]);
    expect(world.host.files.disk("i1")).toMatchObject({ current: "v1", next: null, staged: null });
  });

  test("may be to stop: nothing runs in the end", async () => {
    const world = await comeTo(phase, { order: "startFirst" });
    world.tell(null);
    await world.until(() => world.state().phase === "STOPPED");
    await world.clock.advance(2_000);
    expect(world.host.processes.living).toEqual([]);
    expect(world.host.files.disk("i1").published).toBeNull();
  });

  test("follows something newer still: only the newest counts", async () => {
    const world = await comeTo(phase);
    for (const version of ["v3", "v4", "v5"]) world.tell(release(version));
    await world.untilActive("v5");
    const pulled = world.host.files.steps
      .filter(({ step }) => step === "pull")
      .map(({ release: version }) => version);
    expect(pulled).not.toContain("v4");
  });
});

test("something newer while `current` is being swapped waits until that is done", async () => {
  const world = new AgentWorld();
  await world.start();
  world.behave("v1", { slowMs: 500 });
  world.tell(release("v1"));
  await world.until(() => world.host.files.steps.some(({ step }) => step === "activate"));
  world.tell(release("v2"));
  await world.clock.advance(100);
  expect(world.host.files.disk("i1").current).toBeNull();
  await world.until(() => world.host.files.disk("i1").current === "v1");
  await world.untilActive("v2");
});

test("something newer while it stops is taken up", async () => {
  const world = new AgentWorld();
  await world.start();
  world.behave("v1", { endsAfterMs: 900 });
  world.tell(release("v1"));
  await world.untilActive("v1");
  world.tell(null);
  await world.until(() => world.state().note === "stopping");
  await world.clock.advance(300);
  world.tell(release("v2"));
  await world.untilActive("v2");
  await world.clock.advance(2_000);
  expect(world.host.processes.livingOf("i1").map(({ release: version }) => version)).toEqual(["v2"]);
});

test("told to stop and at once to go on, it serves with its routes", async () => {
  const world = new AgentWorld();
  await world.start();
  world.tell(release("v1"));
  await world.untilActive("v1");
  world.tell(null);
  await world.until(() => world.host.files.steps.some(({ step }) => step === "withdrawRoutes"));
  world.tell(release("v1"));
  await world.clock.advance(100);
  await world.untilActive("v1");
  await world.clock.advance(2_000);
  const { port } = world.state();
  expect(world.host.files.disk("i1").published).toEqual({ release: "v1", port });
  expect(world.host.processes.livingOf("i1").map((process) => process.port)).toEqual([port]);
});

describe("desired states are ordered by the ledger", () => {
  test("an older one that comes late is left out", async () => {
    const world = new AgentWorld();
    await world.start();
    const late = world.ledger.put(keys.desiredInstance("i1"), world.desired(release("v1")), 5);
    world.ledger.put(keys.desiredInstance("i1"), world.desired(release("v2")), 6);
    world.ledger.deliver(late);
    await world.untilActive("v2");
    world.ledger.deliver(late);
    await world.clock.advance(5_000);
    expect(world.state().running?.release).toBe("v2");
  });

  test("one of a restored ledger is newer whatever its revision, and the former one is over", async () => {
    const world = new AgentWorld();
    await world.start();
    const former = world.ledger.put(keys.desiredInstance("i1"), world.desired(release("v1")), 500);
    await world.untilActive("v1");
    world.ledger.put(
      keys.desiredInstance("i1"),
      world.desired(release("v2"), { ledgerId: "ledger-2", generation: 1 }),
      3,
    );
    await world.untilActive("v2");
    expect(world.lastReport()).toMatchObject({ ledgerId: "ledger-2", observedGeneration: 1 });
    world.ledger.deliver({ ...former, revision: 900 });
    await world.clock.advance(5_000);
    expect(world.state().running?.release).toBe("v2");
  });

  test("of ledgers that say when they were minted only the newest one is listened to, in whatever order they come", async () => {
    const ledgers = ["m1000000000000-a", "m2000000000000-b", "m3000000000000-c"];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(2), { minLength: 1, maxLength: 6 }), async (order) => {
        const world = new AgentWorld();
        await world.start();
        for (const [at, which] of order.entries()) {
          const state = world.desired(release(`v${which}`), {
            ledgerId: ledgers[which] ?? "",
            generation: 1,
          });
          world.ledger.put(keys.desiredInstance("i1"), state, 100 - at);
          await world.clock.advance(20);
        }
        const newest = Math.max(...order);
        await world.untilActive(`v${newest}`);
        await world.clock.advance(70_000);
        expect(world.lastReport()).toMatchObject({ ledgerId: ledgers[newest] });
        await world.agent.stop();
      }),
      { numRuns: 30 },
    );
  });

  test("one that was missed is read now and then", async () => {
    const world = new AgentWorld();
    await world.start();
    world.ledger.cutOff = true;
    world.tell(release("v1"));
    await world.clock.advance(500);
    world.ledger.cutOff = false;
    await world.until(() => world.state().phase === "ACTIVE", 70_000);
  });

  test("one that was missed while cut off is read at the reconnect", async () => {
    const world = new AgentWorld();
    await world.start();
    world.ledger.cutOff = true;
    world.hub.disconnect(world.connection);
    world.tell(release("v1"));
    await world.clock.advance(500);
    world.ledger.cutOff = false;
    world.hub.reconnect(world.connection);
    await world.until(() => world.state().phase === "ACTIVE", 8_000);
  });
});

describe("while it is cut off", () => {
  test("it finishes what it was told", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { slowMs: 1_000 });
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "BUILDING");
    world.ledger.cutOff = true;
    world.hub.disconnect(world.connection);
    await world.untilActive("v1");
  });

  test("it begins no phase after a reconnect before it has read its desired state", async () => {
    const world = new AgentWorld();
    await world.start();
    world.behave("v1", { slowMs: 1_000 });
    world.tell(release("v1"));
    await world.until(() => world.state().phase === "BUILDING");
    world.hub.disconnect(world.connection);
    world.ledger.hangs = true;
    world.hub.reconnect(world.connection);
    await world.until(() => world.state().phase === "COPYING_FILES");
    await world.clock.advance(4_000);
    expect(world.host.files.steps.some(({ step }) => step === "copy")).toBe(false);
    // A reading that does not end is given up.
    await world.clock.advance(7_000);
    expect(world.host.files.steps.some(({ step }) => step === "copy")).toBe(true);
  });
});
