import { beforeEach, describe, expect, test } from "vitest";
import { FleetWorld } from "../kit/fleet.js";

describe("a roll-out in virtual time", () => {
  let world: FleetWorld;

  beforeEach(async () => {
    world = new FleetWorld();
    await world.startCoordinator();
    for (let n = 1; n <= 6; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.clock.advance(3_000);
    for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version);
  });

  async function deploy(release: string, more: Record<string, unknown> = {}) {
    return world.call("deployments.create", {
      release,
      selector: "tier=web",
      batch: 2,
      failureThreshold: 2,
      ...more,
    });
  }

  test("brings a release to every instance and makes it stable", async () => {
    const made = await deploy("v1");
    expect(made).toMatchObject({ status: "RUNNING", state: "rolling", matched: 6, batch: 2 });
    const done = await world.finished(made.id);
    expect(done).toMatchObject({
      status: "COMPLETED",
      outcome: "completed",
      counts: { total: 6, succeeded: 6, failed: 0 },
    });
    const { items } = await world.call("instances.list", {});
    expect(items.map((item) => [item.id, item.stable?.release, item.status, item.updateState])).toEqual(
      [1, 2, 3, 4, 5, 6].map((n) => [`web-${n}`, "v1", "HEALTHY", "COMPLETED"]),
    );
  });

  test("goes back when too many fail, and leaves the untouched alone", async () => {
    await world.finished((await deploy("v1")).id);
    await world.finished((await deploy("v2")).id);
    for (const agent of world.agents.values())
      agent.behaviour = (desired) => ({ fails: desired.run?.release.version === "v3" });
    const bad = await world.finished((await deploy("v3")).id);
    expect(bad).toMatchObject({ status: "FAILED", outcome: "failed", reason: { code: "FAILURE_THRESHOLD" } });
    expect(bad.rolledBackBy).not.toBeNull();
    const back = await world.finished(bad.rolledBackBy ?? "");
    expect(back).toMatchObject({
      status: "COMPLETED",
      outcome: "rolled_back",
      rollbackOf: bad.id,
      counts: { total: 2, succeeded: 2 },
    });
    expect(new Set(Object.values(world.running()))).toEqual(new Set(["v2"]));
    const touched = [...world.agents.values()].filter((agent) =>
      agent.told.some((told) => told.run?.release.version === "v3"),
    );
    expect(touched.map((agent) => agent.instance)).toEqual(["web-1", "web-2"]);
    const { items } = await world.call("instances.list", {});
    expect(items.map((item) => item.deployment)).toEqual([null, null, null, null, null, null]);
  });
});
