import { type Agent, createAgent } from "../../src/agent/agent.js";
import { createMemoryHost, type MemoryHost } from "../../src/agent/memory/memory-host.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import type { CoordinatorsOptions } from "./coordinators-world.js";
import { fleet } from "./coordinators-world.js";
import { FleetWorld } from "./fleet.js";
import { quietLog } from "./quiet-log.js";

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
export async function fleetOfAgents(count: number, options: CoordinatorsOptions = {}) {
  const world = new FleetWorld({ seed: 7, ...options });
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
