import { expect, test } from "vitest";
import type { DeploymentRecord } from "../../../src/contracts/deployment.js";
import { failuresCount } from "../../../src/simulator/chaos/invariants/failures-count.js";
import { broken, byAnna, claimOf, deploymentOf, instanceOf, v2 } from "../../machines/samples.js";
import { event, RollingFleet } from "./rolling-fleet.js";

const threshold = { code: "FAILURE_THRESHOLD", message: "2 instances have failed" };
const finished = event("deployment.finished", "d1");

function over(outcome: NonNullable<DeploymentRecord["outcome"]>, reason: typeof threshold | null = null) {
  return deploymentOf({ stage: "finished", outcome, ending: { outcome, reason } });
}

/** Of d1, which fails with the second failure, so many have failed. */
function failing(...ids: readonly string[]): RollingFleet {
  const fleet = new RollingFleet(failuresCount);
  fleet.store({ deployments: [deploymentOf({ stage: "running" })] });
  for (const id of ids) {
    fleet.store({ instances: [instanceOf({ id, claim: claimOf({ state: "told" }) })] });
    const instances = [
      instanceOf({ id, claim: claimOf({ state: "failed", hasFailed: true, reason: broken }) }),
    ];
    const failed = event("instance.failed", id, { generation: 1, version: v2, reason: broken });
    fleet.store({ instances, events: [failed] });
  }
  return fleet;
}

test("a failure by a threshold that was not reached is noticed", () => {
  const end = { deployments: [over("failed", threshold)], events: [finished] };
  expect(() => failing("i1").store(end)).toThrow(/threshold 2 with 1 failures/);
  const exact = failing("i1", "i2");
  exact.store(end);
  expect(exact.marks).toContain("thresholdExact");
});

test("one instance that fails twice has failed once", () => {
  const end = { deployments: [over("failed", threshold)], events: [finished] };
  expect(() => failing("i1", "i1").store(end)).toThrow(/with 1 failures/);
});

test("a deployment that completes though its threshold was reached is noticed", () => {
  const end = { deployments: [over("completed")], events: [event("deployment.completing", "d1")] };
  expect(() => failing("i1", "i2").store(end)).toThrow(/completed with 2 failures of 2/);
  expect(() => failing("i1").store(end)).not.toThrow();
});

test("a deployment that goes on telling after its threshold was reached is noticed", () => {
  const next = { instances: [instanceOf({ id: "i3", claim: claimOf({ state: "told" }) })] };
  expect(() => failing("i1", "i2").store(next)).not.toThrow();
  const late = failing("i1", "i2");
  late.nowMs = 5_000;
  expect(() => late.store(next)).toThrow(/tells i3, 5000 ms after/);
});

test("an end for no reason, or by a person who did not ask for it, is noticed", () => {
  const end = (record: DeploymentRecord) => () =>
    failing().store({ deployments: [record], events: [finished] });
  expect(end(over("failed", broken))).toThrow(/for no reason/);
  expect(end(over("failed", { code: "ROLLED_BACK", message: "" }))).toThrow(/nobody asked for it/);
  expect(end(over("aborted"))).toThrow(/nobody asked for it/);
  expect(end(over("failed", { code: "PROGRESS_DEADLINE", message: "" }))).not.toThrow();
});

test("a second rollback by itself, one of a rollback, or one that was switched off, is noticed", () => {
  const byRule = { by: "rollcall", atMs: 0, reason: null };
  const rollback = (id: string, of: string) => deploymentOf({ id, rollbackOf: of, created: byRule });
  const failed = over("failed", threshold);
  const fleet = failing("i1", "i2");
  fleet.store({ deployments: [failed, rollback("d2", "d1")] });
  expect(() => fleet.store({ deployments: [rollback("d3", "d1")] })).toThrow(/by itself twice/);
  expect(() => fleet.store({ deployments: [rollback("d4", "d2")] })).toThrow(/itself a rollback/);
  expect(() =>
    fleet.store({ deployments: [deploymentOf({ id: "d5", rollbackOf: "d1", created: byAnna(0) })] }),
  ).not.toThrow();
  const off = { ...failed, spec: { ...failed.spec, rollback: "off" } } as const;
  expect(() => failing().store({ deployments: [off, rollback("d2", "d1")] })).toThrow(/by itself, which is/);
});
