import { expect, test } from "vitest";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { FleetWorld } from "../kit/fleet.js";

test.each([1, 2, 3])(
  "a roll-out goes on over a NATS server that is killed again and again, and forgets nothing (%i)",
  async (seed) => {
    const world = await FleetWorld.ready(6, { seed });
    await world.rolledOut("v1");
    const random = createSeededRandom(seed);
    const { id } = await world.deploy("v2");
    for (let n = 0; n < 4; n++) {
      await world.advance(Math.round(random.unit() * 4_000));
      const killed = world.store.crash({ reconnectMs: () => 250 + random.unit() * 1_000 });
      await world.advance(Math.round(random.unit() * 5_000));
      killed.unsubscribe();
      await world.advance(2_000);
    }
    await world.untilLed();
    const { outcome } = await world.finished(id);
    expect(outcome).toBe("completed");
    expect(world.versions()).toEqual(["v2"]);
  },
);

test("agents that read from replicas which are seconds behind come to the same version, each told once", async () => {
  const world = await FleetWorld.ready(6);
  await world.rolledOut("v1");
  const random = createSeededRandom(5);
  const lagging = world.store.lag(() => random.unit() * 3_000);
  const lost = world.hub.drop(({ subject }) => subject.includes(".desired.") && random.unit() < 0.5);
  const { outcome } = await world.rolledOut("v2");
  lagging.unsubscribe();
  lost.unsubscribe();
  expect(outcome).toBe("completed");
  expect(world.versions()).toEqual(["v2"]);
  for (const instance of world.agents.keys())
    expect(world.agent(instance).story.filter((release) => release === "v2")).toHaveLength(1);
});

test("a coordinator that the server cuts off for its slowness comes back, and the roll-out ends", async () => {
  const world = await FleetWorld.ready(20);
  await world.rolledOut("v1", { batch: 5 });
  world.hub.cutSlow({ pendingMax: 60, reconnectMs: 300 });
  const { id } = await world.deploy("v2", { batch: 5 });
  await world.advance(3_000);
  world.stall("c1", 20_000);
  await world.until(() => [...world.knownFormats()].length === 0, 19_000);
  const { outcome } = await world.finished(id);
  expect(outcome).toBe("completed");
  expect(world.versions()).toEqual(["v2"]);
});

test.each([1, 3, 4, 12])(
  "a server that forgets what it had acknowledged leaves a fleet that the next roll-out reaches, every instance of it (%i)",
  async (seed) => {
    const world = await FleetWorld.ready(6, { seed, syncAlways: false });
    const { id: first } = await world.rolledOut("v1");
    const random = createSeededRandom(seed);
    const { id } = await world.deploy("v2");
    await world.advance(Math.round(random.unit() * 6_000));
    const killed = world.store.crash({ loseMs: Math.round(random.unit() * 4_000), reconnectMs: () => 250 });
    await world.advance(Math.round(random.unit() * 5_000));
    killed.unsubscribe();
    await world.advance(10_000);
    await world.untilLed();
    // The end of the first may be forgotten, and the beginning of the second.
    for (const deployment of [first, id])
      if ((await world.view(deployment).catch(() => undefined)) !== undefined)
        await world.finished(deployment);
    const { outcome } = await world.rolledOut("v3");
    expect(outcome).toBe("completed");
    expect(world.versions()).toEqual(["v3"]);
    expect(
      world.store
        .events("default")
        .map(chainVerifier())
        .filter((problem) => problem !== undefined),
    ).toEqual([]);
  },
);
