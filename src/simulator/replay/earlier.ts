import type { DeploymentRecord, DeploymentSpec, Outcome } from "../../contracts/deployment.js";
import type { RecordedCase } from "./case-book.js";
import type { Life } from "./lives.js";
import { configRecord, releaseRecord } from "./versions.js";

/** What an older log does not say of a deployment: the defaults of a release and of the command line. */
const assumedRules = {
  minHealthyMs: 10_000,
  deadlineMs: 900_000,
  progressDeadlineMs: 1_200_000,
  rollback: "auto",
  onStuck: "fail",
} as const;

export function specOf({ created }: RecordedCase): DeploymentSpec {
  const { release, config, selector, batch, failureThreshold } = created;
  const { askedBatch = batch, askedThreshold = failureThreshold } = created;
  const { minHealthyMs = assumedRules.minHealthyMs, deadlineMs = assumedRules.deadlineMs } = created;
  const { progressDeadlineMs = assumedRules.progressDeadlineMs } = created;
  const { rollback = assumedRules.rollback, onStuck = assumedRules.onStuck } = created;
  return {
    release,
    config,
    selector,
    batch: askedBatch,
    failureThreshold: askedThreshold,
    minHealthyMs,
    deadlineMs,
    progressDeadlineMs,
    rollback,
    ...(onStuck === "report" && { onStuck }),
    reason: null,
  };
}

/** A deployment that was over before: one that is tried again or taken back, or that brought what newcomers get. */
function earlierRecord(
  recorded: RecordedCase,
  which: { id: string; outcome: Outcome; rollbackOf?: string; release?: string | null },
  atMs: number,
): DeploymentRecord {
  const { batch, failureThreshold, matched } = recorded.created;
  const spec = specOf(recorded);
  const { id, outcome, rollbackOf = null, release = spec.release } = which;
  return {
    format: 1,
    id,
    generation: 1,
    requestKey: null,
    created: { by: "replay", atMs, reason: null },
    spec: release === spec.release ? spec : { ...spec, release, config: null },
    release: release === null ? null : releaseRecord(release).release,
    config: spec.config === null ? null : configRecord(spec.config).config,
    rollbackOf,
    retryOf: null,
    batch,
    failureThreshold,
    matched,
    stage: "finished",
    paused: null,
    held: null,
    forced: false,
    clock: { ranMs: 0, runningSinceMs: null },
    movedAtMs: 0,
    stuckAtMs: null,
    leftFailed: 0,
    ending: { outcome, reason: null },
    outcome,
    finishedAtMs: atMs,
    counts: null,
  };
}

/** Deployments that the one to be played goes by: all of them are over. */
export function earlierRecords(
  recorded: RecordedCase,
  lives: Iterable<Life>,
  atMs: number,
): DeploymentRecord[] {
  const { rollbackOf, retryOf } = recorded.created;
  const records: DeploymentRecord[] = [];
  if (rollbackOf !== null) records.push(earlierRecord(recorded, { id: rollbackOf, outcome: "failed" }, atMs));
  if (retryOf !== null && rollbackOf !== null)
    records.push(earlierRecord(recorded, { id: retryOf, outcome: "rollback_failed", rollbackOf }, atMs));
  else if (retryOf !== null) records.push(earlierRecord(recorded, { id: retryOf, outcome: "failed" }, atMs));
  const before = numberBefore(recorded.id);
  if (before !== undefined && !records.some(({ id }) => id === before))
    records.push(earlierRecord(recorded, { id: before, outcome: "aborted" }, atMs));
  for (const { isFromTheBeginning, claims } of lives) {
    const before = claims[0]?.before ?? null;
    if (isFromTheBeginning || before === null) continue;
    // Newcomers get what the newest completed deployment has brought.
    const brought = { id: "before", outcome: "completed", release: before.release } as const;
    return [...records, earlierRecord(recorded, brought, atMs)];
  }
  return records;
}

/** The deployment whose successor gets the same name as in the log: `d6` of `d7`. */
function numberBefore(id: string): string | undefined {
  const number = Number(/^d(\d{1,15})$/.exec(id)?.[1] ?? 0);
  return number > 1 ? `d${number - 1}` : undefined;
}
