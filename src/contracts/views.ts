import { z } from "zod";
import {
  claimStateSchema,
  countsSchema,
  deploymentSpecSchema,
  markSchema,
  outcomeSchema,
} from "./deployment.js";
import { healthSchema, labelsSchema, phaseSchema, reasonSchema } from "./instance.js";
import { idSchema, versionSchema } from "./names.js";
import { reconciliationRecordSchema } from "./reconciliation.js";
import { versionPairSchema } from "./version.js";

/** One answer to "why is it not further?": the rule, the objects that block it, the clock that runs. */
export const whySchema = z.object({
  /** A stable word for programs: `waiting-for-slot`, `paused`, `mass-silence`. */
  rule: z.string(),
  sentence: z.string(),
  blocking: z.array(z.string()),
  /** When the clock that runs ends, in ledger time, and what happens then; `null` if none runs. */
  nextAtMs: z.number().nullable(),
});
export type Why = z.infer<typeof whySchema>;

/** `status` is the seed's word, `state` and `outcome` say it exactly. */
export const deploymentViewSchema = z.object({
  id: idSchema,
  status: z.enum(["UNKNOWN", "RUNNING", "COMPLETED", "FAILED"]),
  state: z.enum(["preparing", "rolling", "paused", "held", "finished"]),
  outcome: outcomeSchema.nullable(),
  reason: reasonSchema.nullable(),
  spec: deploymentSpecSchema,
  rollbackOf: idSchema.nullable(),
  retryOf: idSchema.nullable(),
  rolledBackBy: idSchema.nullable(),
  batch: z.number(),
  failureThreshold: z.number(),
  matched: z.number(),
  counts: countsSchema,
  created: markSchema,
  paused: markSchema.nullable(),
  held: markSchema.nullable(),
  finishedAtMs: z.number().nullable(),
  generation: z.number(),
  observedGeneration: z.number(),
  why: whySchema,
});
export type DeploymentView = z.infer<typeof deploymentViewSchema>;

/** What a deployment would do. Lists hold at most a page of names, the counts all. */
export const deploymentPreviewSchema = z.object({
  spec: deploymentSpecSchema,
  batch: z.number(),
  failureThreshold: z.number(),
  matched: z.number(),
  /** In the order of their turn, as many together as have slots; a slot is handed on as soon as it is free. */
  batches: z.array(z.array(idSchema)),
  batchCount: z.number(),
  notNeeded: z.array(idSchema),
  notNeededCount: z.number(),
  unreachable: z.array(idSchema),
  unreachableCount: z.number(),
  /** What is allowed and perhaps not meant, in sentences. */
  doubts: z.array(z.string()),
  asOf: z.number(),
  epoch: z.number(),
});
export type DeploymentPreview = z.infer<typeof deploymentPreviewSchema>;

const updateStateSchema = z.enum(["NOT_NEEDED", "NEEDING_UPDATE", "IN_PROGRESS", "COMPLETED", "FAILED"]);
export type UpdateState = z.infer<typeof updateStateSchema>;

export const instanceViewSchema = z.object({
  id: idSchema,
  agent: idSchema,
  labels: labelsSchema,
  status: healthSchema,
  updateState: updateStateSchema,
  reason: reasonSchema.nullable(),
  /** What it was told to run, and what it runs. */
  desired: versionPairSchema.nullable(),
  running: versionPairSchema.nullable(),
  stable: versionPairSchema.nullable(),
  generation: z.number(),
  observedGeneration: z.number(),
  phase: phaseSchema.nullable(),
  progress: z.number(),
  note: z.string(),
  port: z.number().nullable(),
  pid: z.number().nullable(),
  restarts: z.number(),
  /** Since its newest report; `null` if none came since this coordinator leads. */
  reportAgeMs: z.number().nullable(),
  deployment: idSchema.nullable(),
  claim: claimStateSchema.nullable(),
  /** Why it stands where it stands, in one sentence. */
  why: z.string(),
});
export type InstanceView = z.infer<typeof instanceViewSchema>;

export const releaseViewSchema = z.object({
  version: versionSchema,
  source: z.string(),
  digest: z.string(),
  sizeBytes: z.number().nullable(),
  pushed: markSchema,
  /** How many instances run it, and for how many it is the stable one. */
  running: z.number(),
  stable: z.number(),
});
export type ReleaseView = z.infer<typeof releaseViewSchema>;

export const configViewSchema = z.object({
  version: versionSchema,
  digest: z.string(),
  sizeBytes: z.number(),
  pushed: markSchema,
  running: z.number(),
  stable: z.number(),
});
export type ConfigView = z.infer<typeof configViewSchema>;

/** What a coordinator is doing that is silent: of one that is known from its lease alone all, of others the beginning. */
export const doesNotAnswer = "does not answer";

export const coordinatorViewSchema = z.object({
  id: idSchema,
  role: z.enum(["leading", "following", "campaigning", "loading", "stopping"]),
  epoch: z.number().nullable(),
  /** When it took this role; a leader's in ledger time. */
  sinceMs: z.number(),
  /** When the leader last renewed its lease, in ledger time; `null` for the others, and while the ledger cannot say so. */
  renewedAtMs: z.number().nullable().default(null),
  /** How it is doing: `leads`, `caught up`, `12s behind`, {@link doesNotAnswer}, or what its problem is. */
  doing: z.string().default(""),
  version: z.string(),
  node: z.string(),
  /** Why it does not lead though it might have to, or what rule it has found itself to break; `null` if nothing is wrong. */
  problem: z.string().nullable().default(null),
});
export type CoordinatorView = z.infer<typeof coordinatorViewSchema>;

/** What does not move, and not merely takes long. */
export const stuckViewSchema = z.object({
  kind: z.enum(["deployment", "phase"]),
  /** Of the deployment, or of the instance whose phase it is. */
  id: idSchema,
  deployment: idSchema.nullable(),
  /** `PROGRESS_DEADLINE` or `PHASE_STUCK`. */
  code: z.string(),
  /** What was done about it: the phase was marked failed, the deployment is only reported. */
  action: z.enum(["failed", "reported"]),
  /** When it was found, in ledger time; `null` where that is not kept. */
  foundAtMs: z.number().nullable(),
  sentence: z.string(),
});
export type StuckView = z.infer<typeof stuckViewSchema>;

/** Which ledger a fleet has, and what its instances know that it does not. */
export const ledgerViewSchema = z.object({
  id: z.string(),
  /** When it was made or restored; `null` for one of an early Rollcall. */
  sinceMs: z.number().nullable(),
  restoredFrom: z.object({ ledgerId: z.string(), revision: z.number(), takenAtMs: z.number() }).nullable(),
  /** Instances that act on what this ledger does not know. */
  strangers: z.number(),
  /** Instances that run a version of which there is no record. */
  unknownVersions: z.number(),
  /** One sentence about it with what to do; `null` while nothing is strange. */
  notice: z.string().nullable(),
});
export type LedgerView = z.infer<typeof ledgerViewSchema>;

/** An event of the audit log: what happened to which object, who asked for it and what led to it. */
export const eventViewSchema = z.object({
  id: z.string(),
  /** `deployment.told`. */
  type: z.string(),
  /** `deployment/d1`, its tokens escaped as in subjects. */
  subject: z.string(),
  /** RFC 3339, in ledger time. */
  time: z.string(),
  /** The event in words, to be read after the name of its object. */
  sentence: z.string(),
  /** `null` for events that were written before they had an origin. */
  actor: z.string().nullable(),
  cause: z.string().nullable(),
  generation: z.number().nullable(),
  epoch: z.number(),
  sequence: z.number(),
  data: z.json(),
});
export type EventView = z.infer<typeof eventViewSchema>;

export const fleetStatusSchema = z.object({
  fleet: idSchema,
  leader: idSchema.nullable(),
  epoch: z.number(),
  ledgerNowMs: z.number(),
  instances: z.object({
    total: z.number(),
    UNKNOWN: z.number(),
    HEALTHY: z.number(),
    DEGRADED: z.number(),
    FAILED: z.number(),
  }),
  /** How many instances run what, the most frequent first. */
  versions: z.array(
    z.object({
      version: versionPairSchema.nullable(),
      instances: z.number(),
      /** There is no record of it: it was pushed to a ledger that was lost, or restored since. */
      unrecorded: z.literal(true).optional(),
    }),
  ),
  /** Coordinators of earlier versions do not say. */
  ledger: ledgerViewSchema.optional(),
  /** How many deployments and phases are stuck now. */
  stuck: z.number(),
  /** Rules that the leader has found itself to break since its process runs; a copy does not say. */
  broken: z.array(z.object({ rule: z.string(), times: z.number(), sentence: z.string() })).optional(),
  /** Coordinators of earlier versions do not say. */
  apps: z
    .object({
      /** Without uninstalled ones. */
      apps: z.number(),
      /** Those that have apps. */
      instances: z.number(),
      /** Pairs of both of which it is alerted that one is not as asked. */
      alerts: z.number(),
      /** The apps of most of them: on how many instances, and the codes of their reasons, the most frequent first. Coordinators of earlier versions do not say. */
      alerted: z
        .array(z.object({ app: idSchema, instances: z.number(), causes: z.array(z.string()) }))
        .optional(),
      /** Apps that instances have and nobody asked for, as of the newest look. Coordinators of earlier versions do not say. */
      unasked: z.number().optional(),
    })
    .optional(),
  /** The last one that was not a dry run. */
  reconciliation: reconciliationRecordSchema.nullable(),
  active: z.array(deploymentViewSchema),
  latest: deploymentViewSchema.nullable(),
});
export type FleetStatus = z.infer<typeof fleetStatusSchema>;
