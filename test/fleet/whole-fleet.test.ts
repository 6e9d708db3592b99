import { expect, test } from "vitest";
import { fleetOfAgents } from "../kit/agent-fleet.js";

test("a seeded roll-out and rollback with the real coordinator and the real agents", async () => {
  const { world, hosts, agents } = await fleetOfAgents(6);
  for (const host of hosts) host.behaviours.set("v3", { unhealthy: true });
  const ask = { selector: "tier=web", batch: 2, failureThreshold: 2 };
  const outcomes: unknown[] = [];
  for (const release of ["v1", "v2", "v3"]) {
    const made = await world.call("deployments.create", { release, ...ask });
    outcomes.push((await world.finished(made.id)).outcome);
  }
  expect(outcomes).toEqual(["completed", "completed", "failed"]);
  const rollback = (await world.call("deployments.list", {})).items.find((item) => item.rollbackOf !== null);
  const back = await world.finished(rollback?.id ?? "");
  expect(back.outcome).toBe("rolled_back");
  // The first failure frees its slot, so at most batch + threshold − 1 instances are touched.
  expect(back.counts.total).toBeLessThanOrEqual(3);
  expect(back.counts.succeeded).toBe(back.counts.total);
  expect(agents.map((agent, index) => agent.stateOf(`web-${index + 1}`)?.running?.release)).toEqual(
    Array(6).fill("v2"),
  );
  const { items } = await world.call("instances.list", {});
  expect(
    items.map((item) => [item.status, item.stable?.release, item.observedGeneration === item.generation]),
  ).toEqual(Array(6).fill(["HEALTHY", "v2", true]));
});
