import { expect, test } from "vitest";
import { type Agent, createAgent } from "../../src/agent/agent.js";
import { createMemoryHost, type MemoryHost } from "../../src/agent/memory/memory-host.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { FleetWorld, fleet } from "../kit/fleet.js";
import { quietLog } from "../kit/quiet-log.js";

const manifest = {
  healthCheck: {
    type: "http",
    path: "/health",
    intervalMs: 500,
    timeoutMs: 200,
    retries: 3,
    startPeriodMs: 2_000,
  },
};

/** A coordinator and real agents, over memory ports, in virtual time. */
async function fleetOfAgents(count: number) {
  const world = new FleetWorld({ seed: 7 });
  await world.startCoordinator();
  const hosts: MemoryHost[] = [];
  const agents: Agent[] = [];
  for (let n = 1; n <= count; n++) {
    const bus = world.hub.connect(`agent-${n}`);
    const random = createSeededRandom(`agent-${n}`);
    const host = createMemoryHost({ clock: world.clock, random });
    const agent = createAgent(
      { clock: world.clock, random, log: quietLog, bus, ledger: openLedgerReader(bus, fleet), ...host },
      { fleet, agentVersion: "1.0.0", instances: [{ id: `web-${n}`, labels: { tier: "web" } }] },
    );
    await world.during(agent.start());
    hosts.push(host);
    agents.push(agent);
  }
  await world.clock.advance(5_000);
  for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version, manifest);
  return { world, hosts, agents };
}

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
