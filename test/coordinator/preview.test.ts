import { describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";

describe("a dry run", () => {
  test("says whom a roll-out would tell, in which order and how many at a time, and changes nothing", async () => {
    const world = await FleetWorld.ready(6);
    await world.rolledOut("v1");
    world.agent("web-5").stop();
    await world.advance(10_000);
    await world.rolledOut("v2", { selector: null, batch: 1, failureThreshold: 1 });
    for (let n = 7; n <= 9; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.advance(30_000);
    world.agent("web-6").fail("it ended");
    const before = await world.call("deployments.list", {});
    const told = world.desires.length;
    const preview = await world.call("deployments.preview", {
      release: "v3",
      selector: "tier=web",
      batch: 3,
      failureThreshold: "25%",
    });
    expect(preview).toMatchObject({
      batch: 3,
      failureThreshold: 2,
      matched: 9,
      batches: [
        ["web-1", "web-2", "web-3"],
        ["web-4", "web-6", "web-7"],
        ["web-8", "web-9"],
      ],
      batchCount: 3,
      unreachable: ["web-5"],
      notNeeded: [],
      doubts: [],
    });
    expect((await world.call("deployments.list", {})).items).toEqual(before.items);
    expect(world.desires.length).toBe(told);
  });

  test("comes true", async () => {
    const world = await FleetWorld.ready(5);
    await world.rolledOut("v1", { selector: "tier=web" });
    const { batches } = await world.call("deployments.preview", { release: "v2", selector: null, batch: 2 });
    const seen = world.desires.length;
    await world.rolledOut("v2", { batch: 2 });
    expect(world.desires.slice(seen).map(({ instance }) => instance)).toEqual(batches.flat());
  });

  test("names those that run it already", async () => {
    const world = await FleetWorld.ready(3);
    await world.rolledOut("v1");
    const preview = await world.call("deployments.preview", { release: "v1", selector: null });
    expect(preview).toMatchObject({ batches: [], notNeeded: ["web-1", "web-2", "web-3"], notNeededCount: 3 });
  });

  test.each([
    ["UNKNOWN_RELEASE", { release: "v9" }],
    ["NO_MATCHING_INSTANCES", { selector: "tier=none" }],
    ["BAD_BATCH", { batch: 0 }],
    ["BAD_DEADLINE", { deadlineMs: 1_000, minHealthyMs: 1_000 }],
    ["CONTRADICTORY_ROLLOUT", { failureThreshold: 7 }],
    ["CONTRADICTORY_ROLLOUT", { minHealthyMs: 0, deadlineMs: 400 }],
  ])("is refused as %s, and so is the real one, if it asks for %o", async (code, asked) => {
    const world = await FleetWorld.ready(6);
    const request = { release: "v1", selector: "tier=web", ...asked };
    await expect(world.call("deployments.preview", request)).rejects.toMatchObject({ code });
    await expect(world.call("deployments.create", request)).rejects.toMatchObject({ code });
  });

  test("doubts what is allowed and perhaps not meant", async () => {
    const world = await FleetWorld.ready(4);
    const { doubts } = await world.call("deployments.preview", {
      release: "v1",
      selector: null,
      batch: "100%",
      failureThreshold: 4,
    });
    expect(doubts).toEqual([
      "The batch 100% takes all 4 instances at the same time.",
      "It fails only when every instance has failed.",
    ]);
  });
});
