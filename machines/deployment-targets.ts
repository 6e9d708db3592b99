import { byName } from "../src/base/name-order.js";
import type { DeploymentRecord, InstanceRecord } from "../src/contracts/deployment.js";
import { matches, parseSelector, type Selector } from "../src/contracts/selector.js";
import { sameVersion, type VersionPair } from "../src/contracts/version.js";
import { byAge } from "./deployment-order.js";
import { targetFor } from "./deployment-request.js";
import { wasTouched } from "./member-record.js";

/** Which instances a deployment takes, and what it wants of each. Pure; a new leader comes to the same answer. */

export interface Target {
  readonly instance: string;
  readonly target: VersionPair | null;
  readonly before: VersionPair | null;
  readonly urgent: boolean;
}

/** What the choice depends on beside the records of the deployment and the instances. */
export interface Surroundings {
  /** For a rollback: the deployment that it undoes, and that one's other rollbacks. What these left is this one's. */
  readonly siblings: ReadonlySet<string>;
  /** An instance cannot be reached now. */
  isSilent(instance: string): boolean;
  /** For a retry: a deployment began after the one that is tried again, and neither undoes nor retries it. */
  isLater?(deployment: string): boolean;
}

/** An instance that the deployment would take, and the one that has it. */
export interface Overlap {
  readonly instance: string;
  readonly owner: string;
}

/** What is known of the fleet around a deployment. */
export interface Known {
  /** Every deployment, in no order. */
  readonly records: Iterable<DeploymentRecord>;
  record(id: string): DeploymentRecord | undefined;
  isSilent(instance: string): boolean;
}

export function surroundingsOf({ id, rollbackOf, retryOf }: DeploymentRecord, known: Known): Surroundings {
  const siblings = new Set<string>();
  if (rollbackOf !== null) {
    siblings.add(rollbackOf);
    for (const other of known.records)
      if (other.rollbackOf === rollbackOf && other.id !== id) siblings.add(other.id);
  }
  const earlier = retryOf === null ? undefined : known.record(retryOf);
  return {
    siblings,
    isSilent: (instance) => known.isSilent(instance),
    isLater: (deployment) => {
      const other = known.record(deployment);
      if (earlier === undefined || other === undefined) return false;
      const isKin = other.rollbackOf === earlier.id || other.retryOf === earlier.id;
      return !isKin && byAge(other, earlier) < 0;
    },
  };
}

type Choose = (instance: InstanceRecord) => Target | undefined;

/**
 * What the deployment takes. Instances that another one has are left to that one: see {@link overlapsOf}.
 *
 * @returns in the order of their turn
 */
export function targetsOf(
  deployment: DeploymentRecord,
  instances: Iterable<InstanceRecord>,
  around: Surroundings,
): Target[] {
  const choose = chooserOf(deployment, around);
  const targets: Target[] = [];
  for (const instance of instances) {
    if (ownerOf(instance, around) !== null) continue;
    const target = choose(instance);
    if (target !== undefined) targets.push(target);
  }
  return targets.sort((one, other) => byName(one.instance, other.instance));
}

/** What it would take if another deployment did not have it. */
export function overlapsOf(
  deployment: DeploymentRecord,
  instances: Iterable<InstanceRecord>,
  around: Surroundings,
): Overlap[] {
  const choose = chooserOf(deployment, around);
  const overlaps: Overlap[] = [];
  for (const instance of instances) {
    const owner = ownerOf(instance, around);
    if (owner === null || isLeftTo(instance, around)) continue;
    if (choose({ ...instance, claim: null }) !== undefined) overlaps.push({ instance: instance.id, owner });
  }
  return overlaps;
}

/** The deployment that has it, unless that is the one to be undone. */
function ownerOf({ claim }: InstanceRecord, { siblings }: Surroundings): string | null {
  return claim === null || siblings.has(claim.deployment) ? null : claim.deployment;
}

/** A rollback leaves what a later deployment has touched to that one. */
function isLeftTo({ claim }: InstanceRecord, { siblings }: Surroundings): boolean {
  return siblings.size > 0 && claim !== null && wasTouched(claim);
}

function chooserOf(deployment: DeploymentRecord, around: Surroundings): Choose {
  if (deployment.rollbackOf !== null) return (instance) => back(deployment, instance, around);
  const selector = parseSelector(deployment.spec.selector);
  const { retryOf } = deployment;
  return (instance) => {
    const target = targetFor(deployment.spec, baseOf(instance));
    const isChosen =
      retryOf === null
        ? matches(selector, instance.labels)
        : isLeftOver(instance, retryOf) || isUndone(instance, retryOf, selector, target, around);
    if (!isChosen || target === undefined) return undefined;
    const before = instance.stable ?? instance.owed?.target ?? null;
    return { instance: instance.id, target, before, urgent: false };
  };
}

/** What an instance runs as far as the fleet is concerned: where it was away, what it is about to get. */
export function baseOf({ owed, stable, desired }: InstanceRecord): VersionPair | null {
  return owed?.target ?? stable ?? desired;
}

/** The earlier deployment told it something and it did not succeed, or still owes it its version. */
function isLeftOver({ last, owed }: InstanceRecord, earlier: string): boolean {
  return (last?.deployment === earlier && last.result !== "succeeded") || owed?.deployment === earlier;
}

/** The earlier deployment would have told it something and did not get to it, or was rolled back. */
function isUndone(
  { labels, last, desired }: InstanceRecord,
  earlier: string,
  selector: Selector,
  target: VersionPair | undefined,
  { isLater = () => false }: Surroundings,
): boolean {
  if (target === undefined || sameVersion(desired, target) || !matches(selector, labels)) return false;
  return last === null || (last.deployment !== earlier && !isLater(last.deployment));
}

/**
 * What a rollback takes of the deployment that it undoes. Instances in flight or failed go first, at once; so do silent
 * ones, for whom nobody waits. What was told nothing is left alone; a retry leaves alone what is back.
 */
function back(
  { rollbackOf, retryOf }: DeploymentRecord,
  instance: InstanceRecord,
  { siblings, isSilent }: Surroundings,
): Target | undefined {
  const { id, claim, last } = instance;
  if (claim !== null && !wasTouched(claim) && claim.deployment === rollbackOf) return undefined;
  const trace =
    claim !== null && wasTouched(claim)
      ? { deployment: claim.deployment, before: claim.before, result: claim.state }
      : last;
  if (trace === null || !siblings.has(trace.deployment)) return undefined;
  const isBack = trace.deployment !== rollbackOf && trace.result === "succeeded";
  if (retryOf !== null && isBack) return undefined;
  const { before } = trace;
  return { instance: id, target: before, before, urgent: isSilent(id) || trace.result !== "succeeded" };
}
