import { sameVersion, type VersionPair } from "../src/contracts/version.js";
import type { Target } from "./deployment-targets.js";

/** What a deployment would do, without any of it. Pure. */

/** What is known of an instance that it would take. */
export interface PreviewStanding {
  readonly running: VersionPair | null;
  readonly desired: VersionPair | null;
  readonly silent: boolean;
}

export interface Preview {
  /** In the order of their turn, as many together as have slots. A roll-out hands a slot on as soon as it is free. */
  readonly batches: readonly (readonly string[])[];
  /** They run what is wanted. */
  readonly notNeeded: readonly string[];
  /** They have missed their reports, and are told when they return. */
  readonly unreachable: readonly string[];
}

export function previewOf(
  targets: readonly Target[],
  batch: number,
  standingOf: (instance: string) => PreviewStanding | undefined,
): Preview {
  const notNeeded: string[] = [];
  const unreachable: string[] = [];
  const turns: string[] = [];
  for (const { instance, target } of targets) {
    const standing = standingOf(instance);
    if (standing === undefined || standing.silent) unreachable.push(instance);
    else if (sameVersion(standing.running, target) && sameVersion(standing.desired, target))
      notNeeded.push(instance);
    else turns.push(instance);
  }
  const batches: string[][] = [];
  for (let start = 0; start < turns.length; start += batch) batches.push(turns.slice(start, start + batch));
  return { batches, notNeeded, unreachable };
}
