import { z } from "zod";
import { labelsSchema, reasonSchema } from "./instance.js";
import { idSchema, versionSchema } from "./names.js";
import { configSchema, releaseSchema } from "./release.js";
import { versionPairSchema } from "./version.js";

/** A number of instances, or a percentage of the matching ones, as a person writes it: `2`, `"25%"`. */
export const amountSchema = z
  .union([z.int(), z.string().regex(/^-?\d{1,9}%?$/)])
  .meta({ description: "A whole number from 1, or a percentage from 1% to 100%" });
export type Amount = z.infer<typeof amountSchema>;

const durationMs = z
  .int()
  .min(0)
  .max(7 * 86_400_000);

/** What somebody asks for. */
export const deploymentSpecSchema = z.strictObject({
  release: versionSchema.nullable(),
  config: versionSchema.nullable(),
  /** `k=v`, `k!=v`, comma = and; `null` stands for all instances. */
  selector: z.string().max(1_024).nullable(),
  batch: amountSchema,
  failureThreshold: amountSchema,
  minHealthyMs: durationMs,
  deadlineMs: durationMs,
  progressDeadlineMs: durationMs,
  rollback: z.enum(["auto", "off"]),
  /** What becomes of it when nothing has moved for the progress deadline; left out: it fails. */
  onStuck: z.literal("report").optional(),
  reason: z.string().max(1_024).nullable(),
});
export type DeploymentSpec = z.infer<typeof deploymentSpecSchema>;

export const outcomeSchema = z.enum(["completed", "failed", "aborted", "rolled_back", "rollback_failed"]);
export type Outcome = z.infer<typeof outcomeSchema>;

/** Who did something, when (ledger time), and why. */
export const markSchema = z.strictObject({
  by: z.string().max(128),
  atMs: z.int(),
  reason: z.string().max(1_024).nullable(),
});
export type Mark = z.infer<typeof markSchema>;

export const countsSchema = z.strictObject({
  /** Instances that this deployment owns now. */
  total: z.int(),
  notNeeded: z.int(),
  waiting: z.int(),
  inFlight: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  /** Waiting, but silent: not picked. */
  unreachable: z.int(),
});
export type Counts = z.infer<typeof countsSchema>;

/** `deployment.<id>`: everything of a deployment that must survive its leader. */
export const deploymentRecordSchema = z.strictObject({
  format: z.literal(1),
  id: idSchema,
  /** What is asked of the deployment; grows by pause, resume and the like. */
  generation: z.int().min(1),
  /** Repeats of the request that made it carry the same key. */
  requestKey: z.string().max(64).nullable(),
  created: markSchema,
  spec: deploymentSpecSchema,
  /** The release and configuration as they stood at the creation; a deployment keeps its rules. */
  release: releaseSchema.nullable(),
  config: configSchema.nullable(),
  rollbackOf: idSchema.nullable(),
  retryOf: idSchema.nullable(),
  /** The numbers that the spec's amounts came to. */
  batch: z.int().min(1),
  failureThreshold: z.int().min(1),
  matched: z.int().min(0),
  /** Where the machine stands. */
  stage: z.enum(["preparing", "running", "completing", "reverting", "finished"]),
  paused: markSchema.nullable(),
  held: markSchema.nullable(),
  /** A person said that the hold does not count; until the silence is over. */
  forced: z.boolean(),
  /** The deployment's own clock, which stands still while it is paused or held. */
  clock: z.strictObject({ ranMs: z.int().min(0), runningSinceMs: z.int().nullable() }),
  /** On that clock, when an instance last moved. */
  movedAtMs: z.int().min(0),
  /** When it was found that nothing had moved for the progress deadline; `null` while something moves. */
  stuckAtMs: z.int().nullable().default(null),
  /** Failures of instances that have left since: spent stays spent. */
  leftFailed: z.int().min(0),
  /** How it ends, decided before its last writes. */
  ending: z.strictObject({ outcome: outcomeSchema, reason: reasonSchema.nullable() }).nullable(),
  /** Written last, once. */
  outcome: outcomeSchema.nullable(),
  finishedAtMs: z.int().nullable(),
  /** The result's numbers, kept when the claims are gone. */
  counts: countsSchema.nullable(),
});
export type DeploymentRecord = z.infer<typeof deploymentRecordSchema>;

/** What a deployment's claim on an instance has come to. */
export const claimStateSchema = z.enum(["notNeeded", "waiting", "told", "succeeded", "failed"]);
export type ClaimState = z.infer<typeof claimStateSchema>;

export const claimSchema = z.strictObject({
  deployment: idSchema,
  state: claimStateSchema,
  target: versionPairSchema.nullable(),
  /** Its stable version when the deployment claimed it; `null` if it had none. */
  before: versionPairSchema.nullable(),
  /** Told at once, outside the batch: a rollback's in-flight, failed and unreachable instances. */
  urgent: z.boolean(),
  /** On the deployment's clock. */
  toldAtMs: z.int().nullable(),
  minHealthyMs: z.int().min(0),
  /** It failed at least once under this claim: that stays counted. */
  hasFailed: z.boolean(),
  reason: reasonSchema.nullable(),
});
export type Claim = z.infer<typeof claimSchema>;

/**
 * What has come of the last thing that an instance was told: as in a claim, or how far it is on the way back from
 * a deployment that ended early.
 */
const lastResultSchema = z.enum([...claimStateSchema.options, "goingBack", "wentBack"]);

/** `instance.<id>`: what the control plane must not forget of an instance. */
export const instanceRecordSchema = z.strictObject({
  format: z.literal(1),
  id: idSchema,
  /** The agent that it belongs to. */
  agent: idSchema,
  labels: labelsSchema,
  joinedAtMs: z.int(),
  /** Of the newest desired state; 0: never told anything. */
  generation: z.int().min(0),
  /** What it was last told to run; `null`: to stop, or nothing yet. */
  desired: versionPairSchema.nullable(),
  stable: versionPairSchema.nullable(),
  claim: claimSchema.nullable(),
  /** The last deployment that told it something, and what was stable before: what a rollback goes by. */
  last: z
    .strictObject({
      deployment: idSchema,
      before: versionPairSchema.nullable(),
      result: lastResultSchema,
      /** Why it failed, if it did. */
      reason: reasonSchema.optional(),
    })
    .nullable(),
  /** A finished deployment's version (`null`: to stop) that it is not on yet: it was away, has failed there, or joined later. */
  owed: z
    .strictObject({
      deployment: idSchema,
      target: versionPairSchema.nullable(),
      minHealthyMs: z.int().min(0),
    })
    .nullable(),
  /** Reports of failures up to this generation are old news: they were reset. */
  resetGeneration: z.int().min(0),
});
export type InstanceRecord = z.infer<typeof instanceRecordSchema>;

/** `release.<version>` and `config.<version>`. */
export const releaseRecordSchema = z.strictObject({
  format: z.literal(1),
  release: releaseSchema,
  digest: z.string().max(128),
  pushed: markSchema,
});
export type ReleaseRecord = z.infer<typeof releaseRecordSchema>;
export const configRecordSchema = z.strictObject({
  format: z.literal(1),
  config: configSchema,
  pushed: markSchema,
});
export type ConfigRecord = z.infer<typeof configRecordSchema>;
