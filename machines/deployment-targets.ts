import type { Claim, DeploymentRecord, InstanceRecord } from "../src/contracts/deployment.js";
import { matches, parseSelector } from "../src/contracts/selector.js";
import type { VersionPair } from "../src/contracts/version.js";
import { targetFor } from "./deployment-request.js";

/** Which instances a deployment takes, and what it wants of each. Pure; a new leader comes to the same answer. */

export interface Target {
  readonly instance: string;
  readonly target: VersionPair | null;
  readonly before: VersionPair | null;
  readonly urgent: boolean;
}

/** It was told something under this claim, be it before a reset. */
export function wasTouched(claim: Claim): boolean {
  return claim.toldAtMs !== null || claim.hasFailed;
}

/** The instances of a finished deployment that a retry takes again: those that did not succeed. */
function isLeftOver(record: InstanceRecord, deployment: string): boolean {
  return (
    (record.last?.deployment === deployment && record.last.result !== "succeeded") ||
    record.owed?.deployment === deployment
  );
}

/** What a new roll-out or a retry of one takes: by its selector, or what the earlier one did not get done. */
function forward(deployment: DeploymentRecord, instance: InstanceRecord): Target | undefined {
  const selector = parseSelector(deployment.spec.selector);
  const chosen =
    deployment.retryOf === null
      ? matches(selector, instance.labels)
      : isLeftOver(instance, deployment.retryOf);
  if (!chosen || instance.claim !== null) return undefined;
  const target = targetFor(deployment.spec, instance.stable ?? instance.desired);
  return target === undefined
    ? undefined
    : { instance: instance.id, target, before: instance.stable, urgent: false };
}

/**
 * What a rollback takes of the deployment that it undoes. Instances in flight or failed go first, at once; so do silent
 * ones, for whom nobody waits. What was told nothing is left alone.
 */
function back(of: string, instance: InstanceRecord, isSilent: boolean): Target | undefined {
  const { claim, last } = instance;
  if (claim !== null) {
    if (claim.deployment !== of || !wasTouched(claim)) return undefined;
    return {
      instance: instance.id,
      target: claim.before,
      before: claim.before,
      urgent: isSilent || claim.state !== "succeeded",
    };
  }
  if (last === null || last.deployment !== of) return undefined;
  return {
    instance: instance.id,
    target: last.before,
    before: last.before,
    urgent: isSilent || last.result !== "succeeded",
  };
}

/**
 * @param siblings the deployment that is undone and its earlier rollbacks: what these left is this one's
 * @param isSilent whether an instance cannot be reached now
 */
export function targetsOf(
  deployment: DeploymentRecord,
  instances: Iterable<InstanceRecord>,
  siblings: ReadonlySet<string>,
  isSilent: (instance: string) => boolean,
): Target[] {
  const targets: Target[] = [];
  for (const instance of instances) {
    if (deployment.rollbackOf === null) {
      const target = forward(deployment, instance);
      if (target !== undefined) targets.push(target);
      continue;
    }
    const owner = instance.claim?.deployment ?? instance.last?.deployment;
    if (owner === undefined || !siblings.has(owner)) continue;
    if (deployment.retryOf !== null && instance.last?.result === "succeeded" && instance.claim === null)
      continue;
    const target = back(owner, instance, isSilent(instance.id));
    if (target !== undefined) targets.push(target);
  }
  return targets.sort((one, other) => byName.compare(one.instance, other.instance));
}

/** `web-2` before `web-10`; the same on every machine. */
const byName = new Intl.Collator("en", { numeric: true });
