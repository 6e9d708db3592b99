import type { Amount, DeploymentRecord, DeploymentSpec, Mark } from "../src/contracts/deployment.js";
import { refusal } from "../src/contracts/errors.js";
import type { Config, Release } from "../src/contracts/release.js";
import { contradictionsIn } from "../src/contracts/rollout-lint.js";
import type { VersionPair } from "../src/contracts/version.js";

/** From what somebody asks for to the record of a new deployment: the checks and the numbers. Pure. */

/**
 * A batch or threshold of `of` instances: a percentage is taken of the matching ones once, rounded down, at least 1.
 *
 * @throws RollcallError `BAD_BATCH` or `BAD_FAILURE_THRESHOLD`, as `code` says
 */
export function resolveAmount(
  amount: Amount,
  of: number,
  code: "BAD_BATCH" | "BAD_FAILURE_THRESHOLD",
): number {
  const text = String(amount);
  const percent = text.endsWith("%");
  const number = Number(percent ? text.slice(0, -1) : text);
  if (!Number.isSafeInteger(number) || number < 1 || (percent && number > 100))
    throw refusal(code, { given: text });
  return percent ? Math.max(1, Math.floor((of * number) / 100)) : number;
}

export interface NewDeployment {
  readonly id: string;
  readonly spec: DeploymentSpec;
  readonly release: Release | null;
  readonly config: Config | null;
  readonly matched: number;
  readonly mark: Mark;
  readonly requestKey: string | null;
  readonly rollbackOf: string | null;
  readonly retryOf: string | null;
}

/**
 * The first record of a deployment.
 *
 * @throws RollcallError `NOTHING_TO_DEPLOY`, `BAD_BATCH`, `BAD_FAILURE_THRESHOLD`, `BAD_DEADLINE`, `CONTRADICTORY_ROLLOUT`
 */
export function newDeployment(asked: NewDeployment): DeploymentRecord {
  const { spec, matched } = asked;
  if (asked.rollbackOf === null && spec.release === null && spec.config === null)
    throw refusal("NOTHING_TO_DEPLOY");
  refuseContradiction(asked);
  const batch = resolveAmount(spec.batch, matched, "BAD_BATCH");
  const threshold = resolveAmount(spec.failureThreshold, matched, "BAD_FAILURE_THRESHOLD");
  return {
    format: 1,
    id: asked.id,
    generation: 1,
    requestKey: asked.requestKey,
    created: asked.mark,
    spec,
    release: asked.release,
    config: asked.config,
    rollbackOf: asked.rollbackOf,
    retryOf: asked.retryOf,
    batch,
    // More failures than there are instances cannot happen: if all fail, it has failed.
    failureThreshold: Math.max(1, Math.min(threshold, matched)),
    matched,
    stage: "preparing",
    paused: null,
    held: null,
    forced: false,
    clock: { ranMs: 0, runningSinceMs: null },
    movedAtMs: 0,
    stuckAtMs: null,
    leftFailed: 0,
    ending: null,
    outcome: null,
    finishedAtMs: null,
    counts: null,
  };
}

/** What an earlier one was allowed, its rollback and its retry are too. */
function refuseContradiction({ spec, matched, release, rollbackOf, retryOf }: NewDeployment): void {
  if (rollbackOf !== null || retryOf !== null) return;
  const healthCheck = release?.manifest.healthCheck ?? null;
  const [contradiction] = contradictionsIn({ ...spec, matched, healthCheck });
  if (contradiction !== undefined) throw contradiction;
}

/** The deployment that takes the touched instances of `failed` back: same batch, threshold and deadlines. */
export function newRollback(
  failed: DeploymentRecord,
  id: string,
  mark: Mark,
  touched: number,
): DeploymentRecord {
  const { release, config, spec } = failed;
  return {
    ...newDeployment({
      id,
      spec,
      release,
      config,
      matched: touched,
      mark,
      requestKey: null,
      rollbackOf: failed.id,
      retryOf: null,
    }),
    batch: failed.batch,
    failureThreshold: Math.max(1, Math.min(failed.failureThreshold, touched)),
  };
}

/** What a deployment wants an instance to run; `undefined` if that cannot be: a configuration without any release. */
export function targetFor(spec: DeploymentSpec, runsNow: VersionPair | null): VersionPair | undefined {
  const release = spec.release ?? runsNow?.release;
  if (release === undefined) return undefined;
  return { release, config: spec.config ?? runsNow?.config ?? null };
}
