import { z } from "zod";
import { idSchema, versionSchema } from "./names.js";
import { configSchema, releaseSchema } from "./release.js";
import { versionPairSchema } from "./version.js";

/** At most this many labels an instance, so that a report stays small. */
const labelsMax = 32;
export const labelsSchema = z
  .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/), z.string().regex(/^[A-Za-z0-9._/-]{0,63}$/))
  .refine((labels) => Object.keys(labels).length <= labelsMax, `at most ${labelsMax} labels`);
export type Labels = z.infer<typeof labelsSchema>;

export const healthSchema = z.enum(["UNKNOWN", "HEALTHY", "DEGRADED", "FAILED"]);
export type Health = z.infer<typeof healthSchema>;

/** The seed's phases of applying a release on an instance, in their order. */
export const phases = [
  "QUEUED",
  "PULLING_SOURCE",
  "BUILDING",
  "COPYING_FILES",
  "CREATING_SYMLINKS",
  "UPDATING_ROUTES",
  "HEALTH_CHECK",
  "ACTIVE",
] as const;
export const phaseSchema = z.enum([...phases, "FAILED", "STOPPED"]);
export type Phase = z.infer<typeof phaseSchema>;

export const reasonSchema = z.strictObject({ code: z.string().max(64), message: z.string().max(4_096) });
export type Reason = z.infer<typeof reasonSchema>;

/** `desired.instance.<id>`: what an instance should be. `run: null` asks it to stop; no record at all means "keep what you run". */
export const desiredInstanceSchema = z.strictObject({
  format: z.literal(1),
  ledgerId: z.string().min(1).max(64),
  instance: idSchema,
  /** The only agent that may act on it. */
  agent: idSchema,
  /** Grows with every change of what is asked of this instance. */
  generation: z.int().min(1),
  epoch: z.int().min(1),
  deployment: idSchema.nullable(),
  run: z.strictObject({ release: releaseSchema, config: configSchema.nullable() }).nullable(),
  /** The release to go back to: its files are kept, however old they are. */
  stable: versionSchema.nullable().default(null),
  minHealthyMs: z.int().min(0),
  deadlineMs: z.int().min(1),
});
export type DesiredInstance = z.infer<typeof desiredInstanceSchema>;

/** What an instance says of itself, whole. */
export const instanceStateSchema = z.strictObject({
  labels: labelsSchema,
  health: healthSchema,
  /** Why the health is what it is, when it is not HEALTHY. */
  reason: reasonSchema.nullable(),
  /** What serves now; `null` while nothing does. */
  running: versionPairSchema.nullable(),
  phase: phaseSchema,
  progress: z.int().min(0).max(100),
  /** What the phase is doing, for people. */
  note: z.string().max(256),
  port: z.int().min(1).max(65_535).nullable(),
  pid: z.int().min(1).nullable(),
  restarts: z.int().min(0),
  /** The program that reports. */
  agentVersion: z.string().max(64),
  /** The newest format of a desired state that its agent reads; the first one if it does not say. */
  desiredFormat: z.int().min(1).optional(),
});
export type InstanceState = z.infer<typeof instanceStateSchema>;

/**
 * `health.<instance>`. Each carries the numbers that make a lost message harmless; the whole state
 * rides along when it changed, when it is asked for, and now and then.
 */
export const reportSchema = z.strictObject({
  format: z.literal(1),
  instance: idSchema,
  agent: idSchema,
  /** Minted at each start of the agent; `seq` counts within it. */
  incarnation: z.string().min(1).max(64),
  seq: z.int().min(0),
  /** The newest `generation` that this instance acts on; 0 for none yet. */
  observedGeneration: z.int().min(0),
  ledgerId: z.string().max(64).nullable(),
  /** Equal digests mean equal states. */
  digest: z.string().min(1).max(64),
  /** By the agent's monotonic clock, since the last failed check; 0 while not healthy. */
  healthyForMs: z.int().min(0),
  /** Since the phase or its progress last moved. */
  phaseAgeMs: z.int().min(0),
  state: instanceStateSchema.optional(),
});
export type Report = z.infer<typeof reportSchema>;
