import { expect } from "vitest";
import type { Observed } from "../../machines/deployment-plan.js";
import type { DeploymentEvent } from "../../machines/deployment-record.js";
import { publishedState } from "../../machines/deployment-status.js";
import { type DrivenDeployment, driveDeployment } from "./drive.js";
import { byAnna, type DeploymentChanges, deploymentOf, flightOf, observedOf } from "./samples.js";

/** Hands of the tests of the deployment machine. */

export type Seen = Omit<Partial<Observed>, "step">;

export const contextOf = (deployment: DrivenDeployment) => deployment.snapshot.context;
export const recordOf = (deployment: DrivenDeployment) => contextOf(deployment).record;
export const published = (deployment: DrivenDeployment) => publishedState(deployment.snapshot.value);

/** Shows a deployment how its members stand; unless told otherwise, its newest step has taken effect. */
export function look(
  deployment: DrivenDeployment,
  nowMs: number,
  seen: Seen = {},
  step = contextOf(deployment).step,
) {
  return deployment.send({ type: "observe", observed: observedOf({ step, ...seen }), moved: false, nowMs });
}

export const pause = (atMs: number): DeploymentEvent => ({ type: "pause", mark: byAnna(atMs) });
export const resume = (atMs: number, force = false): DeploymentEvent => ({
  type: "resume",
  mark: byAnna(atMs),
  force,
});
export const abort = (atMs: number): DeploymentEvent => ({ type: "abort", mark: byAnna(atMs) });
export const rollBack = (atMs: number): DeploymentEvent => ({ type: "rollBack", mark: byAnna(atMs) });

const two = (toldAtMs = 0) => [flightOf("i1", { toldAtMs }), flightOf("i2", { toldAtMs })];
export const batchFull: Seen = { waiting: 8, next: ["i3", "i4"], flights: two(), returnable: 2 };
export const twoFailed: Seen = { waiting: 8, next: ["i3", "i4"], failed: 2, everFailed: 2, returnable: 2 };
export const allDone: Seen = { waiting: 0, next: [], succeeded: 10, returnable: 10 };
export const letGo: Seen = { waiting: 0, next: [], total: 0 };

/** A roll-out whose claims were confirmed at ledger time 1,000, and that has told its first two. */
export function begun(changes: DeploymentChanges = {}, judgeFromMs = 0): DrivenDeployment {
  const deployment = driveDeployment(deploymentOf(changes), judgeFromMs);
  look(deployment, 1_000);
  expect(deployment.snapshot.value).toMatchObject({ running: { pace: "writing" } });
  look(deployment, 1_000, batchFull);
  expect(deployment.snapshot.value).toMatchObject({ running: { pace: "watching" } });
  return deployment;
}

/** A rollback that has told its first two. */
export const begunRollback = () => begun({ id: "d2", rollbackOf: "d1" });
