import { expect, test } from "vitest";
import type { InstanceRecord } from "../../../src/contracts/deployment.js";
import { exactWayBack } from "../../../src/simulator/chaos/invariants/exact-way-back.js";
import { claimOf, deploymentOf, instanceOf, v1, v2, v2c1 } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";
import { desiredOf } from "./staged-fleet.js";

const onV1 = { stable: v1, desired: v1, generation: 1 } as const;
const claimed = instanceOf({ ...onV1, claim: claimOf() });
const told = instanceOf({
  ...onV1,
  desired: v2,
  generation: 2,
  claim: claimOf({ state: "told", toldAtMs: 0 }),
});
const ending = { outcome: "aborted", reason: null } as const;

/** d1 has claimed i1, which is stable on v1, and i2, and has told i1 to run v2. */
function rolling(): RollingFleet {
  const fleet = new RollingFleet(exactWayBack);
  fleet.store({ deployments: [deploymentOf({ stage: "running" })], instances: [instanceOf(onV1)] });
  fleet.store({ instances: [claimed, { ...claimed, id: "i2" }] });
  fleet.store({ instances: [told], desired: [desiredOf({ generation: 2, deployment: "d1" })] });
  return fleet;
}

/** d1 has failed, and d2 has taken i1 over and told it to run this. */
function goingBack(target: InstanceRecord["desired"]): RollingFleet {
  const fleet = rolling();
  const over = deploymentOf({
    stage: "finished",
    outcome: "failed",
    ending: { outcome: "failed", reason: null },
  });
  const rollback = deploymentOf({ id: "d2", rollbackOf: "d1", stage: "running" });
  const claim = claimOf({ deployment: "d2", target, before: target, urgent: true });
  fleet.store({ deployments: [over, rollback] });
  fleet.store({
    instances: [
      { ...told, claim },
      { ...claimed, id: "i2", claim: null },
    ],
  });
  fleet.store({
    instances: [{ ...told, desired: target, generation: 3, claim: { ...claim, state: "told", toldAtMs: 0 } }],
    desired: [desiredOf({ generation: 3, deployment: "d2" })],
  });
  return fleet;
}

const rolledBack = deploymentOf({ id: "d2", rollbackOf: "d1", stage: "finished", outcome: "rolled_back" });

test("a claim that would go back to something else than what is stable is noticed", () => {
  const fleet = new RollingFleet(exactWayBack);
  const other = instanceOf({ ...onV1, claim: claimOf({ before: v2c1 }) });
  expect(() => fleet.store({ instances: [other] })).toThrow(/stable on v1/);
  const none = instanceOf({ id: "i2", claim: claimOf({ before: null }) });
  expect(() => fleet.store({ instances: [none] })).not.toThrow();
});

test("what an instance goes back to cannot be changed under its claim", () => {
  const changed = { ...told, claim: claimOf({ state: "failed", before: v2c1 }) };
  expect(() => rolling().store({ instances: [changed] })).toThrow(/has changed/);
});

test("an instance that is told before its claim was stored is noticed", () => {
  const fleet = new RollingFleet(exactWayBack);
  fleet.store({ instances: [instanceOf(onV1)] });
  expect(() => fleet.store({ instances: [told] })).toThrow(/before its claim was stored/);
  const newcomer = { ...told, id: "i9", stable: null, claim: claimOf({ state: "told", before: null }) };
  expect(() => fleet.store({ instances: [newcomer] })).not.toThrow();
});

test("a rollback to another version, or of an untouched instance, is noticed", () => {
  expect(() => goingBack(v2c1)).toThrow(/back to v2 with config c1, before d1 it had v1/);
  const fleet = rolling();
  fleet.store({ deployments: [deploymentOf({ id: "d2", rollbackOf: "d1" })] });
  const claim = claimOf({ deployment: "d2", target: v1 });
  expect(() => fleet.store({ instances: [{ ...claimed, id: "i2", claim }] })).toThrow(/never told anything/);
});

test("a rollback that is over while an instance is to run something else is noticed", () => {
  const fleet = goingBack(v1);
  expect(() => fleet.store({ deployments: [rolledBack] })).not.toThrow();
  const missed = rolling();
  const last = { deployment: "d1", before: v1, result: "failed" } as const;
  missed.store({
    deployments: [deploymentOf({ stage: "finished", outcome: "completed" })],
    instances: [{ ...told, claim: null, last }],
  });
  expect(() => missed.store({ deployments: [rolledBack] })).toThrow(/i1 is to run v2; it had v1/);
});

test("it is marked when a rollback begins, or an abort, while an instance is cut off", () => {
  const fleet = rolling();
  fleet.host("i1", { current: "v1", running: [] });
  fleet.cutOff.add("agent-i1-1");
  fleet.store({ deployments: [deploymentOf({ id: "d2", rollbackOf: "d1" })] });
  expect(fleet.marks).toContain("rollbackWhilePartitioned");
  const back = { ...told, desired: v1, generation: 3, claim: null } as const;
  fleet.store({
    deployments: [deploymentOf({ stage: "reverting", ending })],
    instances: [{ ...back, last: { deployment: "d1", before: v1, result: "goingBack" } }],
    desired: [desiredOf({ generation: 3 })],
  });
  expect(fleet.marks).toContain("abortedWhileCut");
});

test("whoever is told what was rolled back is noticed", () => {
  const fleet = goingBack(v1);
  fleet.store({ deployments: [rolledBack] });
  const again = desiredOf({ generation: 4, deployment: "d1" });
  expect(() => fleet.store({ desired: [again] })).toThrow(/which was rolled back/);
});

test("what a later deployment has touched is left to that one", () => {
  const fleet = goingBack(v1);
  const claim = claimOf({ deployment: "d3", target: v2c1 });
  const back = { ...told, desired: v1, generation: 3, claim: null };
  fleet.store({ instances: [back] });
  fleet.store({ instances: [{ ...back, claim }] });
  fleet.store({
    instances: [{ ...back, desired: v2c1, generation: 4, claim: { ...claim, state: "told" } }],
    desired: [desiredOf({ generation: 4, deployment: "d3" })],
  });
  expect(() => fleet.store({ deployments: [rolledBack] })).not.toThrow();
  expect(fleet.marks).toContain("supersededLeft");
});

test("an early end tells who was on the way what it had before, and nobody else anything", () => {
  const aborted = deploymentOf({ stage: "reverting", ending });
  const letGo = { ...told, claim: null, last: { deployment: "d1", before: v1, result: "failed" } } as const;
  expect(() => rolling().store({ deployments: [aborted], instances: [letGo] })).toThrow(
    /not told to go back/,
  );
  const lost = { ...told, desired: v2c1, generation: 3, claim: null } as const;
  const wrong = { ...lost, last: { deployment: "d1", before: v1, result: "goingBack" } } as const;
  expect(() => rolling().store({ deployments: [aborted], instances: [wrong] })).toThrow(
    /to go back to v2 with/,
  );
  const untouched = { ...claimed, id: "i2", claim: null, desired: v1, generation: 2 };
  const desired = desiredOf({ instance: "i2", generation: 2 });
  const last = { deployment: "d0", before: null, result: "succeeded" } as const;
  expect(() =>
    rolling().store({ deployments: [aborted], instances: [{ ...untouched, last }], desired: [desired] }),
  ).toThrow(/told something as d1 lets it go/);
});
