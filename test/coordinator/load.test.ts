import { describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { Operator } from "../kit/operator.js";

const groups = Array.from({ length: 12 }, (_, at) => `g${at + 1}`);
const perGroup = 5;
/** These get a release that does not come up. */
const bad = new Set(["g3", "g6", "g9", "g12"]);

async function fleetOfGroups(): Promise<FleetWorld> {
  const world = new FleetWorld();
  for (const name of ["c1", "c2", "c3"]) {
    await world.startCoordinator(name);
    world.serve(name);
  }
  for (const group of groups) for (let n = 1; n <= perGroup; n++) world.addAgent(`${group}-${n}`, { group });
  world.addAgent("parked", { group: "parked" });
  await world.advance(2_500);
  for (const version of ["v1", "v2", "bad"]) await world.pushRelease(version);
  await world.rolledOut("v1", { selector: null, batch: world.agents.size });
  world.behave({ bad: { fails: true } });
  new Invariants(world);
  await park(world);
  return world;
}

/** A roll-out that stays paused, so that one to all instances is refused whenever it is asked for. */
async function park(world: FleetWorld): Promise<void> {
  const operator = new Operator(world, "parking");
  await operator.act(
    "pause",
    await operator.deploy({ release: "v2", selector: "group=parked", failureThreshold: 1 }),
  );
}

/** Reads, and writes that must be refused, for as long as the world lives; what came of them. */
function callsIn(world: FleetWorld): Map<string, number> {
  const answers = new Map<string, number>();
  const client = world.client("caller", 0);
  const calls: readonly (() => Promise<unknown>)[] = [
    () => client.deployments.list(),
    () => client.deployments.create({ release: "v2", selector: null }),
    () => client.instances.list(),
    () => client.deployments.pause({ deployment: "d999" }),
  ];
  const call = (at: number): void => {
    const count = (what: string) => void answers.set(what, (answers.get(what) ?? 0) + 1);
    const made = calls[at % calls.length]?.() ?? Promise.resolve();
    made.then(
      () => count(at % 2 === 0 ? "read" : "written"),
      (error: { code?: string }) => count(error.code ?? String(error)),
    );
    world.clock.setTimer(100, () => call(at + 1));
  };
  call(0);
  return answers;
}

describe("twelve roll-outs at once to sixty instances, three coordinators, a stream of calls", () => {
  test.each([
    { how: "under one leader", killAfterMs: undefined },
    { how: "with the leader killed in the middle", killAfterMs: 1_800 },
  ])("end each in its one right outcome, and none gets in another's way: $how", async ({ killAfterMs }) => {
    const world = await fleetOfGroups();
    const operators = groups.map((group) => new Operator(world, `operator-of-${group}`));
    const ids = new Map<string, string>();
    for (const [at, group] of groups.entries()) {
      const release = bad.has(group) ? "bad" : "v2";
      const id = await operators[at]?.deploy({ release, selector: `group=${group}`, batch: 2 });
      ids.set(group, id ?? "");
    }
    const answers = callsIn(world);
    if (killAfterMs !== undefined)
      world.clock.setTimer(killAfterMs, () => world.kill(world.leaderName() ?? ""));
    for (const [at, group] of groups.entries()) {
      const ended = (await operators[at]?.ended(ids.get(group) ?? "")) ?? [];
      expect({ group, outcomes: ended.map(({ outcome }) => outcome) }).toEqual({
        group,
        outcomes: bad.has(group) ? ["failed", "rolled_back"] : ["completed"],
      });
    }
    const instances = [...world.agents.keys()].filter((name) => name !== "parked");
    const wanted = instances.map((name) => [name, bad.has(name.split("-")[0] ?? "") ? "v1" : "v2"]);
    expect(world.running()).toMatchObject(Object.fromEntries(wanted));
    for (const id of ids.values())
      expect(world.eventsOf("deployment", id).filter((event) => event === "finished")).toHaveLength(1);
    expect(answers.get("read")).toBeGreaterThan(10);
    expect(answers.get("ROLLOUT_IN_PROGRESS")).toBeGreaterThan(1);
    expect(answers.get("UNKNOWN_DEPLOYMENT")).toBeGreaterThan(1);
    expect(answers.get("written")).toBeUndefined();
  });
});
