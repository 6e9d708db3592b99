import { beforeEach, describe, expect, test } from "vitest";
import { RealCrew } from "../kit/crew.js";
import { FleetWorld } from "../kit/fleet.js";
import { Invariants } from "../kit/invariants.js";
import { Operator } from "../kit/operator.js";

let world: FleetWorld;
let crew: RealCrew;
let operator: Operator;

beforeEach(async () => {
  world = new FleetWorld();
  crew = new RealCrew();
  await world.startCoordinator("c1");
  world.serve("c1");
  await crew.start(world, 3);
  await world.advance(2_500);
  for (const version of ["v1", "v2"]) await world.pushRelease(version);
  await world.rolledOut("v1", { selector: null, batch: 3 });
  new Invariants(world);
  operator = new Operator(world);
});

const begun = (name: string) => crew.effects()[name]?.filter((effect) => effect === "pull v2").length;
const wasTold = (name: string) => world.desiresOf(name).some(({ release }) => release === "v2");

/** Begins a roll-out to all, and cuts i1 off before what it was told reaches it. */
async function cutOffWhileTold(): Promise<string> {
  const lost = world.hub.drop(({ to, subject }) => to === "agent-i1" && subject.includes(".desired."));
  const id = await operator.deploy({ release: "v2", selector: null, batch: 3, failureThreshold: 1 });
  await world.until(() => wasTold("i1"));
  world.hub.disconnect("agent-i1");
  lost.unsubscribe();
  return id;
}

async function comesBack(): Promise<void> {
  world.hub.reconnect("agent-i1");
  await world.until(() => world.leader().view().role === "leading");
  await world.advance(60_000);
}

describe("a real agent that was cut off when it was told a version", () => {
  test("never starts it if it was aborted meanwhile", async () => {
    for (const host of crew.hosts.values()) host.behaviours.set("v2", { hangsIn: "build" });
    const id = await cutOffWhileTold();
    await world.advance(2_000);
    await operator.act("abort", id);
    await comesBack();
    expect(begun("i1")).toBe(0);
    expect(crew.running()).toEqual({ i1: "v1", i2: "v1", i3: "v1" });
  });

  test("never starts it if it was rolled back meanwhile", async () => {
    crew.hosts.get("i2")?.behaviours.set("v2", { failsIn: "build", code: "BUILD_FAILED" });
    const id = await cutOffWhileTold();
    const ended = await operator.ended(id);
    expect(ended.map(({ outcome }) => outcome)).toEqual(["failed", "rolled_back"]);
    await comesBack();
    expect(begun("i1")).toBe(0);
    expect(crew.running()).toEqual({ i1: "v1", i2: "v1", i3: "v1" });
  });

  test("gets it with its second report, if only the message was lost", async () => {
    const lost = world.hub.drop(({ to, subject }) => to === "agent-i1" && subject.includes(".desired."));
    await operator.deploy({ release: "v2", selector: null, batch: 3 });
    await world.until(() => wasTold("i1"));
    lost.unsubscribe();
    const toldAtMs = world.clock.nowMs();
    await world.until(() => begun("i1") === 1);
    expect(world.clock.nowMs() - toldAtMs).toBeLessThan(2 * 2_000 + 100);
  });
});

test("a real agent that is cut off in the middle of it finishes what it was told, and goes back once it is there again", async () => {
  for (const name of ["i2", "i3"]) crew.hosts.get(name)?.behaviours.set("v2", { hangsIn: "build" });
  const id = await operator.deploy({ release: "v2", selector: null, batch: 3 });
  await world.until(() => begun("i1") === 1);
  world.hub.disconnect("agent-i1");
  await operator.act("abort", id);
  await world.until(() => crew.running().i1 === "v2");
  await comesBack();
  expect(begun("i1")).toBe(1);
  expect(crew.running()).toEqual({ i1: "v1", i2: "v1", i3: "v1" });
});
