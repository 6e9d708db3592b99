import { expect, test } from "vitest";
import type { Claim } from "../../../src/contracts/deployment.js";
import { batchBound } from "../../../src/simulator/chaos/invariants/batch-bound.js";
import { claimOf, deploymentOf, instanceOf, v2 } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";

/** Two at a time, and the second failure ends it. */
function rolling(changes: Parameters<typeof deploymentOf>[0] = {}): RollingFleet {
  const fleet = new RollingFleet(batchBound);
  fleet.store({ deployments: [deploymentOf({ stage: "running", ...changes })] });
  return fleet;
}

function claims(ids: readonly string[], changes: Partial<Claim>) {
  return ids.map((id) => instanceOf({ id, claim: claimOf(changes) }));
}

test("more in flight than the batch are noticed, across batches of the ledger", () => {
  const fleet = rolling();
  fleet.store({ instances: claims(["i1", "i2"], { state: "told" }) });
  expect(() => fleet.store({ instances: claims(["i3"], { state: "told" }) })).toThrow(/3 in flight/);
});

test("who has succeeded, has left or has failed leaves its slot", () => {
  const fleet = rolling();
  fleet.store({ instances: claims(["i1", "i2"], { state: "told" }) });
  fleet.store({
    instances: [...claims(["i1"], { state: "succeeded" }), ...claims(["i3"], { state: "told" })],
  });
  fleet.store({ left: ["i2"], instances: claims(["i4"], { state: "told" }) });
  fleet.store({
    instances: [
      ...claims(["i3"], { state: "failed", hasFailed: true }),
      ...claims(["i5"], { state: "told" }),
    ],
  });
  expect(fleet.ledger.instances.size).toBe(4);
});

test("more out than batch and threshold allow are noticed, those who left among them", () => {
  const fleet = rolling();
  fleet.store({ instances: claims(["i1", "i2"], { state: "failed", hasFailed: true }) });
  expect(() => fleet.store({ instances: claims(["i3", "i4"], { state: "told" }) })).toThrow(/2 failed/);
  const left = rolling();
  left.store({ instances: claims(["i1", "i2"], { state: "failed", hasFailed: true }) });
  left.store({ left: ["i1", "i2"] });
  expect(() => left.store({ instances: claims(["i3", "i4"], { state: "told" }) })).toThrow(/2 failed/);
});

test("who fails after it succeeded was out before, and is not out for the batch", () => {
  const fleet = rolling();
  fleet.store({ instances: claims(["i1", "i2"], { state: "succeeded" }) });
  fleet.store({ instances: claims(["i1", "i2"], { state: "failed", hasFailed: true }) });
  expect(() => fleet.store({ instances: claims(["i3", "i4"], { state: "told" }) })).not.toThrow();
});

test("a rollback tells the urgent ones together, outside its slots; nothing else may", () => {
  const urgent = claims(["i1", "i2", "i3"], { state: "told", urgent: true });
  expect(() => rolling({ rollbackOf: "d0" }).store({ instances: urgent })).not.toThrow();
  expect(() => rolling().store({ instances: urgent })).toThrow(/no rollback/);
});

test("more on their way to what they are owed than the batch are noticed", () => {
  const owed = { deployment: "d1", target: v2, minHealthyMs: 0 };
  const owing = (id: string) => instanceOf({ id, owed });
  const toldSo = (id: string) =>
    instanceOf({ id, owed, last: { deployment: "d1", before: null, result: "told" } });
  const fleet = rolling();
  fleet.store({ instances: ["i1", "i2", "i3"].map(owing) });
  fleet.store({ instances: ["i1", "i2"].map(toldSo) });
  expect(() => fleet.store({ instances: [toldSo("i3")] })).toThrow(/owes them, its batch is 2/);
  // Told while its deployment had it, outside the slots of a rollback for one.
  const claimed = rolling();
  claimed.store({ instances: ["i1", "i2"].map(toldSo) });
  claimed.store({ instances: [instanceOf({ id: "i3", claim: claimOf({ state: "told" }) })] });
  expect(() => claimed.store({ instances: [toldSo("i3")] })).not.toThrow();
});
