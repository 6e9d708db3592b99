import fc from "fast-check";
import { expect, test } from "vitest";
import type { Behaviour } from "../kit/fake-agent.js";
import { FleetWorld } from "../kit/fleet.js";
import { replayOf } from "./recorded.js";

/** More of them: `ROLLCALL_SEEDS=500`. */
const runs = Number(process.env.ROLLCALL_SEEDS ?? 8);

const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ tookMs: fc.integer({ min: 1, max: 20_000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ fails: fc.constant(true), tookMs: fc.integer({ min: 1, max: 9_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ hangs: true }) },
  { weight: 1, arbitrary: fc.record({ failsAfterMs: fc.integer({ min: 1, max: 9_000 }) }) },
);

const happening = fc.record({
  afterMs: fc.integer({ min: 0, max: 15_000 }),
  what: fc.constantFrom("pause", "resume", "abort", "rollback", "reset", "leave", "join", "kill"),
  instance: fc.integer({ min: 1, max: 8 }),
});

const lives = fc.record({
  behaviours: fc.array(behaviour, { minLength: 2, maxLength: 8 }),
  batch: fc.constantFrom(1, 2, 3, "50%", "100%"),
  failureThreshold: fc.constantFrom(1, 2, "40%"),
  rollback: fc.constantFrom("auto", "auto", "off"),
  happenings: fc.array(happening, { maxLength: 4 }),
});
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never;

async function lived({ behaviours, happenings, ...asked }: Life): Promise<FleetWorld> {
  const world = await FleetWorld.ready(behaviours.length);
  await world.startCoordinator("c2");
  await world.rolledOut("v1", { batch: "100%" });
  for (const [index, one] of behaviours.entries()) world.behave({ v2: one }, [`web-${index + 1}`]);
  const { id } = await world.deploy("v2", { ...asked, deadlineMs: 30_000 } as object);
  for (const { afterMs, what, instance } of happenings) {
    await world.advance(afterMs);
    await happen(world, { what, id, instance: `web-${instance}` });
  }
  if ((await world.view(id)).paused !== null) await world.call("deployments.resume", { deployment: id });
  const { rolledBackBy } = await world.finished(id);
  if (rolledBackBy !== null) await world.finished(rolledBackBy);
  return world;
}

/** What is refused has not happened. */
async function happen(
  world: FleetWorld,
  { what, id: deployment, instance }: { what: string; id: string; instance: string },
): Promise<void> {
  const by = "random";
  const ask = {
    pause: () => world.call("deployments.pause", { deployment, by }),
    resume: () => world.call("deployments.resume", { deployment, by }),
    abort: () => world.call("deployments.abort", { deployment, by }),
    rollback: () => world.call("deployments.rollback", { deployment, by }),
    reset: () => world.call("instances.reset", { instance, by }),
  }[what];
  if (ask !== undefined) await ask().catch(() => undefined);
  else if (what === "join" && !world.agents.has(instance)) world.addAgent(instance, { tier: "web" });
  else if (what === "leave" && world.agents.get(instance)?.started) {
    world.agent(instance).stop();
    await world.call("instances.remove", { instance, by });
  } else if (what === "kill" && world.coordinators.size > 1) {
    world.kill(world.leaderName());
    await world.untilLed();
  }
}

test("whatever happens, a replay by the same machines decides the same", async () => {
  const same = fc.asyncProperty(lives, async (life) => {
    const { deployments } = await replayOf(await lived(life));
    expect(deployments.flatMap(({ differences }) => differences)).toEqual([]);
    for (const { recorded, today, close } of deployments) expect([today, close]).toEqual([recorded, []]);
  });
  await fc.assert(same, { numRuns: runs, seed: 6 });
});
