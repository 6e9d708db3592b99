import type { DeploymentView, InstanceView } from "../contracts/views.js";
import {
  activeOf,
  hasHeard,
  type RolloutPicture,
  standingOf,
  stateText,
  titleText,
} from "./rollout-picture.js";
import { plainText, stopwatchText, versionCell, wayText } from "./words.js";

/**
 * What happened between two looks at a roll-out, one line a change, for output that is no terminal: `0:07 web-1: BUILDING`.
 * Pure: the same pictures give the same lines.
 */
export function rolloutChanges(before: RolloutPicture | undefined, after: RolloutPicture): string[] {
  const stamp = stopwatchText(after.nowMs - after.deployment.created.atMs);
  return [
    ...deploymentChanges(before?.deployment, after.deployment),
    ...instanceChanges(before, after),
    ...(after.rollback === null ? [] : deploymentChanges(before?.rollback ?? undefined, after.rollback)),
  ].map((line) => `${stamp} ${plainText(line)}`);
}

function deploymentChanges(before: DeploymentView | undefined, after: DeploymentView): string[] {
  const { id, batch, failureThreshold, why } = after;
  if (before === undefined)
    return [`${id}: ${titleText(after)}, batch ${batch}, fails at ${failureThreshold}: ${stateText(after)}`];
  if (stateText(before) !== stateText(after)) {
    const said =
      after.reason?.message ?? (after.state === "paused" || after.state === "held" ? why.sentence : "");
    return [`${id}: ${stateText(after)}${said === "" ? "" : `: ${said}`}`];
  }
  if (before.why.rule !== why.rule && why.rule === "mass-silence") return [`${id}: ${why.sentence}`];
  return countsText(before) === countsText(after) ? [] : [`${id}: ${countsText(after)}`];
}

function countsText({ counts }: DeploymentView): string {
  const { succeeded, notNeeded, total, failed } = counts;
  return `${succeeded + notNeeded} of ${total} done${failed > 0 ? `, ${failed} failed` : ""}`;
}

function instanceChanges(before: RolloutPicture | undefined, after: RolloutPicture): string[] {
  const known = new Map((before?.instances ?? []).map((instance) => [instance.id, instance]));
  return after.instances.flatMap((instance) => {
    const earlier = known.get(instance.id);
    const was = before === undefined || earlier === undefined ? undefined : standText(earlier, before);
    const is = standText(instance, after);
    return was === is || (was === undefined && isAtRest(instance, after)) ? [] : [`${instance.id}: ${is}`];
  });
}

/** At the beginning only what moves is worth a line. */
function isAtRest(instance: InstanceView, picture: RolloutPicture): boolean {
  return standingOf(instance, picture) !== "moving" && activeOf(picture).state !== "finished";
}

function standText(instance: InstanceView, picture: RolloutPicture): string {
  const standing = standingOf(instance, picture);
  switch (standing) {
    case "moving":
      return `${wayText(instance.running, instance.desired)} ${hasHeard(instance) ? (instance.phase ?? "told") : "told"}`;
    case "failed":
      return instance.reason === null
        ? "failed"
        : `failed, ${instance.reason.code}: ${instance.reason.message}`;
    case "done":
    case "back":
      return `${standing}, ${versionCell(instance.running)} ${instance.status}`;
    default:
      return standing;
  }
}
