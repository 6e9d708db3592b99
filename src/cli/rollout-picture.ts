import type { DeploymentSnapshot } from "../api/watch-deployment.js";
import { byName } from "../base/name-order.js";
import { versionText } from "../contracts/version.js";
import type { DeploymentView, InstanceView } from "../contracts/views.js";

/** A roll-out at one moment: what was asked for, the rollback that may follow, and every instance seen of either. */
export interface RolloutPicture {
  readonly deployment: DeploymentView;
  readonly rollback: DeploymentView | null;
  /** By name. One that went from the deployment to its rollback stands here once, as it is now. */
  readonly instances: readonly InstanceView[];
  /** Ledger time. */
  readonly nowMs: number;
}

/** The picture after a look at the deployment, or at the rollback that follows it. */
export function nextPicture(
  before: RolloutPicture | undefined,
  snapshot: DeploymentSnapshot,
): RolloutPicture {
  const { deployment, instances, asOf } = snapshot;
  const merged = new Map((before?.instances ?? []).map((instance) => [instance.id, instance]));
  for (const instance of instances) merged.set(instance.id, instance);
  const isRollback = before !== undefined && before.deployment.id !== deployment.id;
  return {
    deployment: isRollback ? before.deployment : deployment,
    rollback: isRollback ? deployment : null,
    instances: [...merged.values()].toSorted((one, other) => byName(one.id, other.id)),
    nowMs: asOf,
  };
}

/** What moves now. */
export function activeOf({ deployment, rollback }: RolloutPicture): DeploymentView {
  return rollback ?? deployment;
}

/** What became of an instance in a roll-out, in the words that people read. */
export type Standing =
  | "waiting"
  | "unreachable"
  | "moving"
  | "done"
  | "back"
  | "failed"
  | "not needed"
  | "untouched";

export function standingOf(instance: InstanceView, picture: RolloutPicture): Standing {
  const active = activeOf(picture);
  const back = active.rollbackOf !== null;
  if (instance.deployment === null) {
    if (instance.updateState === "FAILED" || instance.status === "FAILED") return "failed";
    if (!hasHeard(instance)) return "moving";
    // Of a deployment that ended early, what it had in flight goes back, and the rest stays.
    const endedEarly = active.outcome === "failed" || active.outcome === "aborted";
    return back || (endedEarly && !runsWhatItBrings(instance, active)) ? "back" : "done";
  }
  if (instance.deployment !== active.id) return "untouched";
  switch (instance.claim) {
    case "told":
      return "moving";
    case "succeeded":
      return back ? "back" : "done";
    case "failed":
      return "failed";
    case "notNeeded":
      return "not needed";
    default:
      if (active.state === "finished") return "untouched";
      return instance.status === "UNKNOWN" ? "unreachable" : "waiting";
  }
}

function runsWhatItBrings({ running }: InstanceView, { spec }: DeploymentView): boolean {
  if (running === null) return false;
  return (
    (spec.release === null || spec.release === running.release) &&
    (spec.config === null || spec.config === running.config)
  );
}

/** What an instance says of itself is about the command; before, its phase is one of earlier work. */
export function hasHeard({ generation, observedGeneration }: InstanceView): boolean {
  return observedGeneration >= generation;
}

/** What a deployment brings: `v2`, `v2 with config c1`, `config c1`. */
function whatText({ spec: { release, config } }: DeploymentView): string {
  if (release !== null) return versionText({ release, config });
  return config === null ? "nothing" : `config ${config}`;
}

/** Where to: `6 instances (tier=web)`. */
function whereText({ matched, spec: { selector } }: DeploymentView): string {
  return `${matched} ${matched === 1 ? "instance" : "instances"}${selector === null ? "" : ` (${selector})`}`;
}

/** The title of a roll-out: `v2 to 6 instances (tier=web)`, `rollback of d1 (v3)`. */
export function titleText(deployment: DeploymentView): string {
  const { rollbackOf, retryOf } = deployment;
  if (rollbackOf !== null) return `rollback of ${rollbackOf} (${whatText(deployment)})`;
  const again = retryOf === null ? "" : `, again after ${retryOf}`;
  return `${whatText(deployment)} to ${whereText(deployment)}${again}`;
}

/** `rolling`, `paused`, and once it is over how it ended: `completed`, `rolled back`. */
export function stateText({ state, outcome }: DeploymentView): string {
  return outcome === null ? state : outcome.replace("_", " ");
}

/** The last sentence about a roll-out. */
export function endSentence({ deployment, rollback }: RolloutPicture): string {
  const { id, counts, outcome } = deployment;
  const because = deployment.reason === null ? "" : `: ${deployment.reason.message}`;
  const done = counts.succeeded + counts.notNeeded;
  if (outcome === "completed") {
    const left = counts.total - done;
    const rest = left === 0 ? "" : `; ${left} did not get it`;
    return `${id} completed: ${done} of ${counts.total} run ${whatText(deployment)}${rest}.`;
  }
  if (outcome === "rolled_back")
    return `${id} is done: what ${deployment.rollbackOf} touched is back on what was stable before.`;
  if (outcome === "rollback_failed")
    return `${id} failed${because} A person is needed: rollcall deployments show ${id}.`;
  const how = outcome === "aborted" ? "was aborted" : "failed";
  const ended = `${id} ${how}${because}`.replace(/[.]?$/, ".");
  if (rollback === null) return `${ended} Nothing was rolled back.`;
  if (rollback.outcome === "rolled_back")
    return `${ended} ${rollback.id} took what it had touched back to what was stable before.`;
  const problem = rollback.reason === null ? "" : `: ${rollback.reason.message}`;
  return `${ended} The rollback ${rollback.id} did not succeed${problem}`.replace(/[.]?$/, ".");
}
