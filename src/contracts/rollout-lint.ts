import type { RollcallError } from "../base/errors.js";
import type { Amount } from "./deployment.js";
import { refusal } from "./errors.js";

/** What of a roll-out can contradict itself. Times are milliseconds. */
export interface RolloutNumbers {
  /** Instances that the selector chooses. */
  readonly matched: number;
  readonly batch: Amount;
  readonly failureThreshold: Amount;
  readonly minHealthyMs: number;
  readonly deadlineMs: number;
  /** Of the release; a configuration alone has none. */
  readonly healthCheck: { readonly intervalMs: number; readonly timeoutMs: number } | null;
}

/**
 * What makes a roll-out one that cannot go well, whatever the instances do; empty if nothing does. The one place for it: a
 * creation, a dry run and a rehearsal all ask here.
 */
export function contradictionsIn(numbers: RolloutNumbers): RollcallError[] {
  const { matched, failureThreshold, minHealthyMs, deadlineMs, healthCheck } = numbers;
  const found: RollcallError[] = [];
  const say = (problem: string) => found.push(refusal("CONTRADICTORY_ROLLOUT", { problem }));
  if (deadlineMs <= minHealthyMs) found.push(refusal("BAD_DEADLINE", { deadlineMs, minHealthyMs }));
  if (healthCheck !== null && healthCheck.timeoutMs >= deadlineMs)
    say(
      `a health check may take ${healthCheck.timeoutMs} ms, and an instance has ${deadlineMs} ms for all of its update`,
    );
  else if (healthCheck !== null && healthCheck.intervalMs >= deadlineMs)
    say(
      `health checks come every ${healthCheck.intervalMs} ms, and an instance has ${deadlineMs} ms for all of its update`,
    );
  if (typeof failureThreshold === "number" && matched > 0 && failureThreshold > matched)
    say(
      `the failure threshold ${failureThreshold} is larger than the ${matched} matching instances, so it would never be reached`,
    );
  return found;
}

/** What is allowed and perhaps not meant, in sentences. */
export function doubtsAbout({ matched, batch, failureThreshold }: RolloutNumbers): string[] {
  const doubts: string[] = [];
  if (matched > 1 && (batch === "100%" || (typeof batch === "number" && batch >= matched)))
    doubts.push(`The batch ${batch} takes all ${matched} instances at the same time.`);
  if (matched > 1 && (failureThreshold === "100%" || failureThreshold === matched))
    doubts.push("It fails only when every instance has failed.");
  return doubts;
}
