import { expect, test } from "vitest";
import { createMemoryHost } from "../../../src/agent/memory/memory-host.js";
import { createSeededRandom } from "../../../src/runtime/random.js";
import { createVirtualClock } from "../../../src/runtime/virtual-clock.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import { staleRequests } from "../../../src/simulator/chaos/invariants/stale-requests.js";
import { sightingOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

const request = {
  from: "c1",
  to: [],
  subject: "rollcall.v1.default.ask.i1.mend",
  data: new TextEncoder().encode(JSON.stringify({ epoch: 1 })),
};

/** An agent that takes a request, and what it does then. */
function asked() {
  const fleet = new StagedFleet(staleRequests);
  const host = createMemoryHost({ clock: createVirtualClock(), random: createSeededRandom(1), saveMs: 1 });
  const complaints = { askStale: 0 };
  const stats = { reportsSent: 0, complaints };
  const agent = { stats, stateOf: () => sightingOf().state };
  fleet.agents.set("i1", { id: "i1", busName: "agent-i1-1", agent, host } as unknown as AgentNode);
  const take = ({ refuses, by = "agent-i1-1" }: { refuses: boolean; by?: string }, does: () => void) => {
    fleet.invariant.taking?.(request, by);
    if (refuses) complaints.askStale++;
    fleet.invariant.taken?.(request, by);
    does();
    fleet.invariant.each?.();
  };
  return { take, host, stats };
}

test("an agent that refuses a request and does nothing passes, and so does one that heeds it", () => {
  const { take, stats } = asked();
  expect(() => take({ refuses: true }, () => undefined)).not.toThrow();
  expect(() => take({ refuses: false }, () => stats.reportsSent++)).not.toThrow();
  expect(() => take({ refuses: true, by: "agent-i1-2" }, () => stats.reportsSent++)).not.toThrow();
});

test("a report, a link, a record that follows from a refused request is noticed", () => {
  const { take, host, stats } = asked();
  expect(() => take({ refuses: true }, () => stats.reportsSent++)).toThrow(/i1 has refused .*mend.* changed/);
  const restore = () => void host.files.restore("i1", { release: "v1", port: 1, config: null, routes: [] });
  expect(() => take({ refuses: true }, restore)).toThrow(/"current","v1"/);
  expect(() => take({ refuses: true }, () => void host.records.save("instance", "i1", {}))).toThrow(
    /changed/,
  );
});
