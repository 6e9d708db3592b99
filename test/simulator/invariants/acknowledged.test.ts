import { expect, test } from "vitest";
import type { LedgerEvent } from "../../../src/base/ports.js";
import { keys } from "../../../src/contracts/keys.js";
import { acknowledged } from "../../../src/simulator/chaos/invariants/acknowledged.js";
import { byAnna, claimOf, deploymentOf, instanceOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

function led(): StagedFleet {
  const fleet = new StagedFleet(acknowledged);
  fleet.lead("c1");
  fleet.nowMs = 1_000;
  return fleet;
}

const done = (id = "d1") => ({ reply: { id } });
const deployment = (changes: Parameters<typeof deploymentOf>[0]) => ({
  [keys.deployment("d1")]: deploymentOf(changes),
});
const create = { release: "v1", requestKey: "k1", by: "anna" };

test("a creation that was acknowledged and is not in the ledger is noticed, then and at the end", () => {
  const fleet = led();
  const ask = () => fleet.answer({ endpoint: "deployments.create", request: create, answer: done() });
  expect(ask).toThrow(/d1 was acknowledged for request k1/);
  fleet.write({ puts: deployment({ requestKey: "k1" }) });
  ask();
  fleet.invariant.atRest?.();
  fleet.write({ deletes: [keys.deployment("d1")] });
  expect(() => fleet.invariant.atRest?.()).toThrow(/d1 was acknowledged/);
});

test("two deployments of one request are noticed", () => {
  const fleet = led();
  fleet.write({ puts: deployment({ requestKey: "k1" }) });
  fleet.write({ puts: { [keys.deployment("d2")]: deploymentOf({ id: "d2", requestKey: "k1" }) } });
  expect(() => fleet.invariant.atRest?.()).toThrow(/two deployments/);
});

test.each([
  ["deployments.pause", { paused: null }, { paused: byAnna(0) }],
  ["deployments.resume", { paused: byAnna(0) }, { paused: null }],
  ["deployments.abort", { outcome: "completed" }, { outcome: "aborted" }],
] as const)("%s that was acknowledged and is not so is noticed", (endpoint, not, so) => {
  const request = { deployment: "d1", by: "anna" };
  const answer = (changes: Parameters<typeof deploymentOf>[0]) => () => {
    const fleet = led();
    fleet.nowMs = 0;
    fleet.write({ puts: deployment(changes) });
    fleet.nowMs = 1_000;
    fleet.answer({ endpoint, request, answer: done() });
  };
  expect(answer(not)).toThrow(/was acknowledged, and is not in the ledger/);
  expect(answer(so)).not.toThrow();
});

test("a pause that somebody has ended again by the time of its answer was one", () => {
  const fleet = led();
  fleet.write({ puts: deployment({ paused: byAnna(0) }) });
  fleet.write({ puts: deployment({ paused: null }) });
  const request = { deployment: "d1", by: "anna" };
  expect(() =>
    fleet.answer({ endpoint: "deployments.pause", request, answer: done(), atMs: 500 }),
  ).not.toThrow();
});

test.each([
  ["instances.reset", { instance: "i1", by: "anna" }],
  ["instances.remove", { instance: "i1", by: "anna" }],
  ["releases.push", { release: { version: "v1" }, by: "anna" }],
  ["deployments.rollback", { deployment: "d1", by: "anna" }],
] as const)("%s that was acknowledged and has left no trace is noticed", (endpoint, request) => {
  const fleet = led();
  const claim = claimOf({ state: "failed" });
  fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ claim }) } });
  expect(() => fleet.answer({ endpoint, request, answer: done("i1") })).toThrow(/was acknowledged/);
});

test("a reset of an instance whose failure is over does nothing, and need leave no trace", () => {
  const fleet = led();
  const last = { deployment: "d1", before: null, result: "failed" } as const;
  const reset = (changes: Parameters<typeof instanceOf>[0]) => {
    fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ last, ...changes }) } });
    const request = { instance: "i1", by: "anna" };
    return () => fleet.answer({ endpoint: "instances.reset", request, answer: done("i1") });
  };
  expect(reset({ claim: claimOf({ deployment: "d2", state: "told" }) })).not.toThrow();
  expect(reset({ owed: { deployment: "d2", target: null, minHealthyMs: 0 } })).not.toThrow();
  expect(reset({})).toThrow(/was acknowledged/);
});

test("a release that was removed and is still there is noticed", () => {
  const fleet = led();
  fleet.write({ puts: { [keys.release("v1")]: {} } });
  const request = { version: "v1", by: "anna" };
  expect(() => fleet.answer({ endpoint: "releases.remove", request, answer: done() })).toThrow(
    /was acknowledged/,
  );
});

test("what must be refused and is granted is noticed", () => {
  const request = { deployment: "never", by: "mallory" };
  expect(() => led().answer({ endpoint: "deployments.pause", request, answer: done() })).toThrow(
    /was granted, which cannot be/,
  );
});

test.each([
  ["deployment.created", "request:k1"],
  ["deployment.paused", "request:1-1"],
])("%s in the name of somebody who never asked for it is noticed", (type, cause) => {
  const event: LedgerEvent = { kind: "deployment", id: "d1", type, data: {}, actor: "user:anna", cause };
  const fleet = led();
  fleet.answer({
    endpoint: "deployments.abort",
    request: { deployment: "d1", by: "anna" },
    answer: undefined,
  });
  fleet.answer({
    endpoint: "deployments.create",
    request: { ...create, requestKey: "k2" },
    answer: undefined,
  });
  expect(() => fleet.write({ events: [event] })).toThrow(/who never asked for it/);
});
