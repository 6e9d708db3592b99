import type { DeploymentRecord, Mark } from "../src/contracts/deployment.js";
import { ledgerKeys } from "../src/contracts/keys.js";
import { stopped } from "./deployment-record.js";

/**
 * What of a fleet's records comes back with a restored ledger. Nothing is told because of the restore alone: desired states stay
 * away, since none at all means "keep what you run", and a roll-out that was under way waits for a person. Pure.
 */

/** What becomes of a record. */
export type Restored =
  | { readonly kind: "kept" }
  /** A deployment that a person has to resume. */
  | { readonly kind: "paused"; readonly record: DeploymentRecord }
  /** A deployment that would have told instances something at once. */
  | { readonly kind: "ended"; readonly record: DeploymentRecord };

/** The record of this key is not restored. */
export function isLeftBehind(key: string): boolean {
  return ledgerKeys.has(key) || key.startsWith("desired.") || key.startsWith("event.");
}

/** What becomes of a deployment. */
export function restoredDeployment(record: DeploymentRecord, mark: Mark): Restored {
  switch (record.stage) {
    case "finished":
    // It tells nobody anything any more.
    case "completing":
      return { kind: "kept" };
    case "running":
      return record.paused === null
        ? {
            kind: "paused",
            record: {
              ...record,
              paused: mark,
              generation: record.generation + 1,
              clock: stopped(record, mark.atMs),
            },
          }
        : { kind: "kept" };
    case "preparing":
      return { kind: "ended", record: ended(record, mark, "aborted") };
    case "reverting":
      return { kind: "ended", record: ended(record, mark, record.ending?.outcome ?? "aborted") };
  }
}

/** Its claims are given up by the next leader, as those of any deployment that is over. */
function ended(
  record: DeploymentRecord,
  mark: Mark,
  outcome: NonNullable<DeploymentRecord["outcome"]>,
): DeploymentRecord {
  const reason = { code: "RESTORED", message: mark.reason ?? "The ledger was restored." };
  return {
    ...record,
    stage: "finished",
    ending: record.ending ?? { outcome, reason },
    outcome,
    finishedAtMs: mark.atMs,
    clock: stopped(record, mark.atMs),
  };
}
