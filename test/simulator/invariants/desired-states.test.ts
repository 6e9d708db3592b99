import { expect, test } from "vitest";
import { createMemoryHost } from "../../../src/agent/memory/memory-host.js";
import { createSeededRandom } from "../../../src/runtime/random.js";
import { createVirtualClock } from "../../../src/runtime/virtual-clock.js";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import { desiredStates } from "../../../src/simulator/chaos/invariants/desired-states.js";
import { sightingOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

function toldTwice(): StagedFleet {
  const fleet = new StagedFleet(desiredStates);
  fleet.lead("c1");
  fleet.tell("i1", 1, "v1");
  fleet.tell("i1", 2, "v2");
  return fleet;
}

test("what no store ever held is noticed when somebody acts on it", () => {
  expect(() => toldTwice().report({ observedGeneration: 3 })).toThrow(/generation 3, which was never stored/);
});

test("revisions that are acted on in another order are noticed", () => {
  const fleet = toldTwice();
  fleet.report({ observedGeneration: 2, state: undefined });
  expect(() => fleet.report({ observedGeneration: 1, state: undefined })).toThrow(/revision \d+ after \d+/);
});

test("a mixture of two desired states is noticed, in what is said and in what is done", () => {
  const fleet = toldTwice();
  fleet.report({ observedGeneration: 1 });
  expect(() => fleet.report({ observedGeneration: 2 })).toThrow(/runs v1 as generation 2, which asks for v2/);
  fleet.do("start", 1, { release: "v1" });
  expect(() => fleet.do("start", 2, { release: "v1" })).toThrow(/start of v1 for generation 2/);
});

test("a desired state that is carried out twice is noticed", () => {
  const fleet = toldTwice();
  fleet.do("activate", 1);
  fleet.do("activate", 1, { by: "agent-i1-2" });
  expect(() => fleet.do("activate", 1)).toThrow(/active a second time/);
});

test("a broadcast that was never taken, and what it said acted on all the same, is marked", () => {
  const fleet = toldTwice();
  const { state } = sightingOf({ phase: "PULLING_SOURCE" });
  const host = createMemoryHost({ clock: createVirtualClock(), random: createSeededRandom(1) });
  fleet.agents.set("i1", { id: "i1", busName: "agent-i1-1", host } as unknown as AgentNode);
  const data = new TextEncoder().encode(JSON.stringify(fleet.ledger.desired.get("i1")));
  fleet.report({ observedGeneration: 1, state });
  const heard = { from: "store", to: [], subject: "rollcall.v1.default.desired.instance.i1", data };
  fleet.invariant.taken?.(heard, "somebody else");
  expect(fleet.marks.size).toBe(0);
  fleet.report({ observedGeneration: 2, state });
  expect(fleet.marks).toContain("missedBroadcastHealed");
});
