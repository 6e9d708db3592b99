import { expect, test } from "vitest";
import type { AgentNode } from "../../../src/simulator/chaos/agent-node.js";
import { fencing } from "../../../src/simulator/chaos/invariants/fencing.js";
import { StagedFleet, told } from "./staged-fleet.js";

const subject = "rollcall.v1.default.ask.i1.report";
const askOf = (epoch: number) => new TextEncoder().encode(JSON.stringify({ epoch }));

function led(): StagedFleet {
  const fleet = new StagedFleet(fencing);
  fleet.lead("c1");
  fleet.write({ events: [told("i1", 1)] });
  return fleet;
}

test("a write after a takeover by whoever led before is noticed", () => {
  const fleet = led();
  fleet.lead("c2");
  expect(fleet.marks).toContain("takeover");
  expect(() => fleet.write({ from: "c1", events: [told("i1", 2)] })).toThrow(/epoch 2, which is c2's/);
});

test("a batch without the condition on the epoch is noticed", () => {
  expect(() => led().write({ events: [told("i1", 2)], fenced: false })).toThrow(/not fenced/);
});

test("an event of another epoch is noticed", () => {
  expect(() => led().write({ events: [told("i1", 2)], epoch: 7 })).toThrow(/of epoch 7 in epoch 1/);
});

test("an epoch that does not grow is noticed", () => {
  const fleet = led();
  expect(() => fleet.lead("c2", 1)).toThrow(/epoch 1 after 1/);
});

test("a lease that somebody else renews is noticed", () => {
  const fleet = led();
  fleet.renew();
  expect(() => fleet.renew("c2")).toThrow(/lease of c1/);
});

test("a request in the name of somebody else's epoch is noticed", () => {
  const fleet = led();
  const ask = (from: string) => fleet.invariant.sent?.({ from, to: [], subject, data: askOf(1) });
  ask("c1");
  expect(() => ask("c2")).toThrow(/c2 asks in epoch 1, which is c1's/);
});

test("an agent that heeds an epoch which is over is noticed, one that refuses it is not", () => {
  const fleet = led();
  fleet.lead("c2");
  let askStale = 0;
  const agent = { stats: { reportsSent: 0, complaints: () => undefined } };
  Object.defineProperty(agent.stats, "complaints", { get: () => ({ askStale }) });
  fleet.agents.set("i1", { id: "i1", busName: "agent-i1-1", agent } as unknown as AgentNode);
  const take = (epoch: number) =>
    fleet.invariant.taken?.({ from: "c", to: [], subject, data: askOf(epoch) }, "agent-i1-1");
  take(1);
  take(2);
  askStale++;
  take(1);
  expect(fleet.marks).toContain("staleRequestRefused");
  expect(() => take(1)).toThrow(/heeded a request of epoch 1 after one of 2/);
  askStale++;
  expect(() => take(2)).toThrow(/refused a request of epoch 2, which is the newest/);
});

test("the epochs of a ledger that was lost are not those of the next one", () => {
  const fleet = led();
  fleet.lead("c2");
  fleet.invariant.ledgerReplaced?.("restored");
  expect(() => fleet.lead("c3", 1)).toThrow(/epoch 1 after 2/);
  fleet.invariant.ledgerReplaced?.("lost");
  expect(() => fleet.lead("", 1)).not.toThrow();
});
