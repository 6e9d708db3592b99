import type { Claim, ClaimState, InstanceRecord } from "../src/contracts/deployment.js";

/** What the record of an instance says of its updates. Pure. */

/** What a completed deployment has not told the instance; an earlier one owes it nothing any more. */
export function owedBy({ state, deployment, target }: Claim): InstanceRecord["owed"] {
  return state === "waiting" && target !== null ? { deployment, target } : null;
}

const updateOf: Readonly<
  Record<ClaimState, "NOT_NEEDED" | "NEEDING_UPDATE" | "IN_PROGRESS" | "COMPLETED" | "FAILED">
> = {
  notNeeded: "NOT_NEEDED",
  waiting: "NEEDING_UPDATE",
  told: "IN_PROGRESS",
  succeeded: "COMPLETED",
  failed: "FAILED",
};

/** How far an instance is, as its record has it. */
export function updateFromRecord({ claim, last, owed, generation }: InstanceRecord) {
  if (claim !== null) return updateOf[claim.state];
  if (owed !== null) return "NEEDING_UPDATE";
  if (last !== null) return updateOf[last.result];
  return generation === 0 ? "NOT_NEEDED" : "IN_PROGRESS";
}
