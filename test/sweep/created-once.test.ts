import { describe, expect, test } from "vitest";
import { type Crash, CrashPoints } from "../kit/crash-points.js";
import { FleetWorld } from "../kit/fleet.js";

/** What may be cut off while a deployment is created. */
type Cut = (world: FleetWorld) => void;

const asked = { release: "v2", selector: "tier=web", batch: 4 } as const;

async function ready(seed: number): Promise<FleetWorld> {
  const world = await FleetWorld.ready(4, { seed });
  world.serve("c1");
  await world.rolledOut("v1", { batch: 4 });
  await world.startCoordinator("c2");
  world.serve("c2");
  return world;
}

/** A client asks for a roll-out, and for it to be repeated, with the retries that every client has. */
async function createAndRetry(world: FleetWorld, crash: Crash | undefined) {
  const points = new CrashPoints(world, "c1", { crash });
  const client = world.client("anna");
  points.count(true);
  const created = await world.during(client.deployments.create(asked));
  points.count(false);
  return { points: points.points, created, client };
}

async function expectOne(world: FleetWorld, id: string): Promise<void> {
  expect(await world.finished(id)).toMatchObject({ outcome: "completed", counts: { succeeded: 4 } });
  const { items } = await world.call("deployments.list", {});
  expect(items.map((one) => [one.id, one.spec.release])).toEqual([
    [id, "v2"],
    ["d1", "v1"],
  ]);
  for (const { story } of world.agents.values()) expect(story).toEqual(["v1", "v2"]);
}

describe("a deployment is created exactly once", () => {
  test.each([1, 2, 3])("when its leader dies before or after any message (seed %i)", async (seed) => {
    const reference = await createAndRetry(await ready(seed), undefined);
    expect(reference.points.length).toBeGreaterThan(8);
    // Another seed is another order of some messages: a part of them shows it.
    const step = seed === 1 ? 1 : 3;
    for (let at = 1; at <= reference.points.length; at += step)
      for (const when of ["before", "after"] as const) {
        const world = await ready(seed);
        const { created } = await createAndRetry(world, { at, when });
        await expectOne(world, created.id);
      }
  });

  const cuts: Readonly<Record<string, Cut>> = {
    "its client is cut off for a second": (world) => {
      world.hub.disconnect("anna");
      world.clock.setTimer(1_000, () => world.hub.reconnect("anna"));
    },
    "its leader is cut off for longer than its lease": (world) => {
      world.hub.disconnect("c1");
      world.clock.setTimer(6_000, () => world.hub.reconnect("c1"));
    },
    "its leader sleeps for longer than its lease": (world) => world.stall("c1", 8_000),
  };
  test.each(Object.keys(cuts))("when %s, at any message", async (name) => {
    const { points } = await createAndRetry(await ready(1), undefined);
    for (let at = 1; at <= points.length; at++) {
      const world = await ready(1);
      let passed = 0;
      let counting = false;
      world.hub.tap({
        sending: ({ from, to, subject }) => {
          const isOne = from === "c1" || to.includes("c1") || subject.startsWith("rollcall.");
          if (counting && isOne && ++passed === at) cuts[name]?.(world);
        },
        sent: () => undefined,
        taken: () => undefined,
      });
      counting = true;
      const created = await world.during(world.client("anna").deployments.create(asked));
      counting = false;
      await world.advance(10_000);
      await expectOne(world, created.id);
    }
  });

  test("and so is the retry of one, when its leader dies at any message", async () => {
    const prepared = async () => {
      const world = await ready(1);
      world.behave({ v2: { fails: true } });
      await world.rolledOut("v2", { batch: 4, failureThreshold: 4, rollback: "off" });
      world.behave({});
      return world;
    };
    const retried = async (crash: Crash | undefined) => {
      const world = await prepared();
      const points = new CrashPoints(world, "c1", { crash });
      points.count(true);
      const { id } = await world.during(world.client("anna").deployments.retry({ deployment: "d2" }));
      points.count(false);
      expect(await world.finished(id)).toMatchObject({ outcome: "completed" });
      const { items } = await world.call("deployments.list", {});
      expect(items.map((one) => one.id)).toEqual([id, "d2", "d1"]);
      return points.points.length;
    };
    const count = await retried(undefined);
    for (let at = 1; at <= count; at += 2)
      for (const when of ["before", "after"] as const) await retried({ at, when });
  });
});
