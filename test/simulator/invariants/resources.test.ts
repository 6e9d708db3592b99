import { expect, test } from "vitest";
import type { Agent } from "../../../src/agent/agent.js";
import { createMemoryHost } from "../../../src/agent/memory/memory-host.js";
import { createSeededRandom } from "../../../src/runtime/random.js";
import { createVirtualClock } from "../../../src/runtime/virtual-clock.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import { resources } from "../../../src/simulator/chaos/invariants/resources.js";
import { sightingOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

/** A host on which v1 runs on port 8080, as its agent says and its routes do. */
async function running() {
  const fleet = new StagedFleet(resources);
  const host = createMemoryHost({ clock: createVirtualClock(), random: createSeededRandom(1) });
  let state = sightingOf().state;
  const agent = { stateOf: () => state } as unknown as Agent;
  fleet.agents.set("i1", { id: "i1", agent, host } as unknown as AgentNode);
  const start = (release: string, port: number) =>
    host.processes.start({
      instance: "i1",
      generation: 1,
      command: "serve",
      cwd: "/",
      env: { PORT: String(port), ROLLCALL_RELEASE: release },
    });
  await start("v1", 8_080);
  const disk = host.files.disk("i1");
  Object.assign(disk, { current: "v1", published: { release: "v1", port: 8_080 } });
  return {
    fleet,
    host,
    start,
    disk,
    rest: () => fleet.invariant.atRest?.(),
    says: (changes: Parameters<typeof sightingOf>[0]) => {
      state = sightingOf(changes).state;
    },
  };
}

test("a host that is as its agent says passes", async () => {
  const { rest } = await running();
  expect(rest).not.toThrow();
});

test("a second process at rest is noticed, and one of which nobody knows", async () => {
  const { start, rest, says } = await running();
  says({ running: null });
  expect(rest).toThrow(/runs nothing, and there run v1 on 8080/);
  await start("v0", 9_000);
  expect(rest).toThrow(/v1 on 8080, v0 on 9000/);
});

test("a process that has ended unnoticed is noticed", async () => {
  const { host, rest } = await running();
  host.processes.reboot();
  expect(rest).toThrow(/says that it runs v1, and there run none/);
});

test("another version than is said, and routes that lead elsewhere, are noticed", async () => {
  const { rest, says, disk } = await running();
  says({ running: { release: "v2", config: null } });
  expect(rest).toThrow(/says that it runs v2 on 8080, and v1 runs/);
  says({});
  disk.published = { release: "v0", port: 8_080 };
  expect(rest).toThrow(/routes of i1 lead to v0/);
});

test("what an instance leaves behind when it leaves is noticed", async () => {
  const { fleet, rest } = await running();
  const [node] = fleet.agents.values();
  fleet.agents.clear();
  if (node !== undefined) fleet.gone.push(node);
  expect(rest).toThrow(/i1 has left, and v1 still runs/);
});

test("a start on a port that is taken is noticed, and an activation of what never was healthy", async () => {
  const { fleet, host } = await running();
  expect(() => fleet.do("start", 2, { release: "v2", port: 8_080 })).toThrow(/v2 on port 8080, which v1/);
  host.behaviours.set("v3", { unhealthy: true });
  expect(() => fleet.do("activate", 2, { release: "v3" })).toThrow(/never was healthy/);
});
