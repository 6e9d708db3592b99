import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { oneOutcome } from "../../../src/simulator/chaos/invariants/one-outcome.js";
import { claimOf, deploymentOf, instanceOf } from "../../machines/samples.js";
import { event, RollingFleet } from "./rolling-fleet.js";

const counts = { total: 1, notNeeded: 0, waiting: 0, inFlight: 0, succeeded: 1, failed: 0, unreachable: 0 };
const completed = deploymentOf({
  stage: "finished",
  ending: { outcome: "completed", reason: null },
  outcome: "completed",
  finishedAtMs: 1,
  counts,
});
const finished = event("deployment.finished", "d1", { outcome: "completed" });

function begun(): RollingFleet {
  const fleet = new RollingFleet(oneOutcome);
  fleet.store({ deployments: [deploymentOf({ stage: "running" })] });
  return fleet;
}

test("an outcome that is written again, or a count that changes after it, is noticed", () => {
  const fleet = begun();
  fleet.store({ deployments: [completed], events: [finished] });
  expect(() => fleet.store({ deployments: [completed] })).not.toThrow();
  expect([...fleet.marks]).toEqual(["completed"]);
  const recounted = { ...completed, counts: { ...counts, failed: 1 } };
  expect(() => fleet.store({ deployments: [recounted] })).toThrow(/written again/);
  expect(() => fleet.store({ deployments: [deploymentOf({ stage: "running" })] })).toThrow(/written again/);
  expect(() => fleet.store({ events: [finished] })).toThrow(/second time/);
});

test("an outcome of another kind, or another than was decided, is noticed", () => {
  const rolledBack = {
    ...completed,
    outcome: "rolled_back",
    ending: { outcome: "rolled_back", reason: null },
  } as const;
  expect(() => begun().store({ deployments: [rolledBack] })).toThrow(/rolled_back/);
  const other = { ...completed, ending: { outcome: "aborted", reason: null } } as const;
  expect(() => begun().store({ deployments: [other] })).toThrow(/was to end as aborted/);
});

test("one that is over and keeps an instance is noticed, unless its rollback takes it", () => {
  const failed = { ...completed, outcome: "failed", ending: { outcome: "failed", reason: null } } as const;
  const owning = () => {
    const fleet = begun();
    fleet.store({ instances: [instanceOf({ claim: claimOf({ state: "told" }) })] });
    return fleet;
  };
  expect(() => owning().store({ deployments: [failed] })).toThrow(/still has 1 instances/);
  const rollback = deploymentOf({ id: "d2", rollbackOf: "d1" });
  expect(() => owning().store({ deployments: [failed, rollback] })).not.toThrow();
});

test("one that disappears is noticed, unless it is over and forgotten", () => {
  const gone = { deletes: [keys.deployment("d1")] };
  expect(() => begun().write(gone)).toThrow(/d1 is gone/);
  const over = begun();
  over.store({ deployments: [completed] });
  expect(() => over.write(gone)).toThrow(/d1 is gone/);
  const forgotten = begun();
  forgotten.store({ deployments: [completed] });
  expect(() => forgotten.write({ ...gone, events: [event("deployment.forgotten", "d1")] })).not.toThrow();
});
