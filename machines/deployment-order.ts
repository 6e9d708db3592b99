import { byName } from "../src/base/name-order.js";
import type { DeploymentRecord } from "../src/contracts/deployment.js";

/** The newest deployment first; of two of the same millisecond the one with the higher number. */
export function byAge(one: DeploymentRecord, other: DeploymentRecord): number {
  return other.created.atMs - one.created.atMs || byName(other.id, one.id);
}
