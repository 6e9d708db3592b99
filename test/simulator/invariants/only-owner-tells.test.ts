import { expect, test } from "vitest";
import type { InstanceRecord } from "../../../src/contracts/deployment.js";
import { onlyOwnerTells } from "../../../src/simulator/chaos/invariants/only-owner-tells.js";
import { claimOf, instanceOf, v1, v2 } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";
import { desiredOf } from "./staged-fleet.js";

/** i1 is claimed by d1, to run v1. */
function claimed(changes: Partial<InstanceRecord> = {}): RollingFleet {
  const fleet = new RollingFleet(onlyOwnerTells);
  const record = instanceOf({
    generation: 1,
    stable: v1,
    claim: claimOf({ target: v1, before: null }),
    ...changes,
  });
  fleet.store({ instances: [record] });
  return fleet;
}

const told = instanceOf({
  generation: 2,
  desired: v1,
  claim: claimOf({ state: "told", target: v1, before: null }),
});

test("the deployment that has claimed an instance tells it what its claim names, and nobody else", () => {
  const desired = [desiredOf({ generation: 2, deployment: "d1" })];
  expect(() => claimed().store({ instances: [told], desired })).not.toThrow();
  expect(() => claimed({ claim: null }).store({ instances: [told], desired })).toThrow(/by nobody who may/);
  const other = [desiredOf({ generation: 2, deployment: "d9" })];
  expect(() => claimed().store({ instances: [told], desired: other })).toThrow(/for d9, by nobody who may/);
  const another = { ...told, claim: claimOf({ state: "told", target: v2 }) };
  expect(() => claimed().store({ instances: [another], desired })).toThrow(/by nobody who may/);
});

test("an instance goes back, or gets what it is owed", () => {
  const free = { ...told, claim: null };
  const back = { ...free, last: { deployment: "d1", before: v1, result: "goingBack" } } as const;
  const none = [desiredOf({ generation: 2, deployment: null })];
  expect(() => claimed().store({ instances: [back], desired: none })).not.toThrow();
  expect(() => claimed().store({ instances: [free], desired: none })).toThrow(/for null, by nobody who may/);
  const owed = { ...free, owed: { deployment: "d1", target: v1, minHealthyMs: 0 } };
  const owing = [desiredOf({ generation: 2, deployment: "d1" })];
  expect(() => claimed({ claim: null }).store({ instances: [owed], desired: owing })).not.toThrow();
});

test("a desired state that its instance's record does not name is noticed", () => {
  const desired = [desiredOf({ generation: 3, deployment: "d1" })];
  expect(() => claimed().store({ instances: [told], desired })).toThrow(/says otherwise/);
});

test("the end of what serves well and is what it was told is noticed", () => {
  const fleet = claimed();
  fleet.store({ instances: [told], desired: [desiredOf({ generation: 2, deployment: "d1" })] });
  fleet.host("i1", { current: "v1", running: [["v1", 60_000]] });
  expect(() => fleet.do("stop", 1)).not.toThrow();
  expect(() => fleet.do("stop", 2)).toThrow(/which serves/);
});
