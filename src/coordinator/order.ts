import type { DeploymentRecord } from "../contracts/deployment.js";

const byNumber = new Intl.Collator("en", { numeric: true });

/** The newest deployment first; of two of the same millisecond the one with the higher number. */
export function byAge(one: DeploymentRecord, other: DeploymentRecord): number {
  return other.created.atMs - one.created.atMs || byNumber.compare(other.id, one.id);
}
