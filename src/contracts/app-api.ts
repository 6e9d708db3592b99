import { z } from "zod";
import { copied } from "./answer-source.js";
import { by, listOf, reason, requestKey } from "./api-fields.js";
import { appContentSchema, appSettingsSchema, desiredStatusSchema, initStatusSchema } from "./app.js";
import { changeCauseSchema, shortReasonSchema } from "./app-report.js";
import { markSchema } from "./deployment.js";
import { idSchema, versionSchema } from "./names.js";
import { whySchema } from "./views.js";

/** Instances of an app in one answer, and changes in one answer, which must fit a message. */
export const appRowsMax = 500;

const conditionSchema = z.object({
  status: z.boolean(),
  /** Ledger time; `null` if it has been so since before this coordinator leads. */
  sinceMs: z.number().nullable(),
  sentence: z.string(),
});

const countsSchema = z.object({
  /** Known instances. */
  total: z.number(),
  inSync: z.number(),
  mismatched: z.number(),
  /** Silent ones, and ones not heard of since this coordinator leads: neither. */
  unheard: z.number(),
});

/** An app of the fleet. */
export const appViewSchema = z.object({
  app: idSchema,
  desiredStatus: desiredStatusSchema,
  content: appContentSchema,
  generation: z.number(),
  added: markSchema,
  changed: markSchema,
  counts: countsSchema,
  conditions: z.object({ Ready: conditionSchema, InSync: conditionSchema, Reconciling: conditionSchema }),
  /** The single status of old, by the rule in docs/apps.md. */
  status: initStatusSchema,
  why: whySchema,
});
export type AppView = z.infer<typeof appViewSchema>;

/** One app on one instance. */
export const appRowSchema = z.object({
  app: idSchema,
  instanceId: idSchema,
  /** `null`: nobody asked for it in this ledger, and the instance has it all the same. */
  desiredStatus: desiredStatusSchema.nullable(),
  /** What it said last; of one that has said nothing yet the status that was migrated, or `unknown`. */
  initStatus: initStatusSchema,
  /** 0 for one that nobody asked for. */
  generation: z.number(),
  observedGeneration: z.number().nullable(),
  /** `null` for a silent instance. */
  inSync: z.boolean().nullable(),
  reason: shortReasonSchema.nullable(),
  /** Ledger time, as the following. */
  sinceMs: z.number().nullable(),
  mismatchSinceMs: z.number().nullable(),
  attempts: z.number(),
  nextAttemptAtMs: z.number().nullable(),
  /** `null` if it was not heard of since this coordinator leads. */
  reportAgeMs: z.number().nullable(),
  alerted: z.boolean(),
  /** How it stands, as a stable word, and why in one sentence. */
  rule: z.string(),
  why: z.string(),
  /** In `apps.status`, of what is not as asked: what it is counted under, and on how many instances of the app it is so. */
  cause: z.object({ name: z.string(), instances: z.number() }).optional(),
});
export type AppRow = z.infer<typeof appRowSchema>;

/** A change of a desired status, or of an init status on an instance. */
export const appHistoryItemSchema = z.object({
  /** In ledger time, when it was written; `instanceAtMs`: when it happened there, by its own clock. */
  atMs: z.number(),
  instance: idSchema.nullable(),
  instanceAtMs: z.number().nullable(),
  generation: z.number().nullable(),
  what: z.enum(["desired", "init", "alert"]),
  from: z.string().nullable(),
  to: z.string(),
  cause: z.union([changeCauseSchema, z.string().max(200)]),
  reason: shortReasonSchema.nullable(),
  by: z.string().nullable(),
  sentence: z.string(),
});
export type AppHistoryItem = z.infer<typeof appHistoryItemSchema>;

export const appReconciledSchema = z.object({
  /** Pairs of app and instance that were not in sync. */
  found: z.number(),
  /** Apps that this ledger's instances were told of now; nobody was before. */
  told: z.number(),
  /** Told to try again. */
  retried: z.number(),
  /** Busy with it anyway. */
  left: z.number(),
  /** Instances that did not answer. */
  unreachable: z.array(idSchema),
  /** Mismatches by the code of their reason. */
  byCause: z.record(z.string(), z.number()),
});
export type AppReconciled = z.infer<typeof appReconciledSchema>;

const expectedGeneration = z
  .int()
  .min(1)
  .optional()
  .meta({ description: "Refused by GENERATION_MISMATCH if the app is at another generation by now" });
const change = { app: idSchema, by, reason, requestKey, expectedGeneration };
const content = {
  version: versionSchema,
  source: appContentSchema.shape.source.default(null),
  settings: appSettingsSchema.default({}),
};
const page = { limit: z.int().min(1).max(appRowsMax).default(100) };

/** The endpoints of apps, `rollcall.v1.<fleet>.api.apps.<verb>`. */
export const appEndpoints = {
  "apps.add": {
    kind: "write",
    summary: "Adds an app, disabled unless asked otherwise; one that was uninstalled comes back",
    request: z.strictObject({
      ...change,
      ...content,
      desiredStatus: desiredStatusSchema.exclude(["uninstalled"]).default("disabled"),
      legacyStatus: initStatusSchema
        .nullable()
        .default(null)
        .meta({ description: "What the single status of old said, of an app that is migrated" }),
    }),
    reply: appViewSchema,
  },
  "apps.adopt": {
    kind: "write",
    summary: "Makes an app that instances have and nobody asked for one of the fleet, as it is there",
    request: z.strictObject({
      app: idSchema,
      /** Whose version, settings and status; `null`: those of any, if all have the same version. */
      instance: idSchema.nullable().default(null),
      by,
      reason,
      requestKey,
    }),
    reply: appViewSchema,
  },
  "apps.enable": {
    kind: "write",
    summary: "Has every instance enable an app",
    request: z.strictObject(change),
    reply: appViewSchema,
  },
  "apps.disable": {
    kind: "write",
    summary: "Has every instance disable an app",
    request: z.strictObject(change),
    reply: appViewSchema,
  },
  "apps.set": {
    kind: "write",
    summary: "Changes version, source or settings of an app; what is left out stays",
    request: z.strictObject({
      ...change,
      version: versionSchema.optional(),
      source: appContentSchema.shape.source.optional(),
      settings: appSettingsSchema.optional(),
    }),
    reply: appViewSchema,
  },
  "apps.uninstall": {
    kind: "write",
    summary: "Has every instance remove an app; its record goes when all have confirmed it",
    request: z.strictObject(change),
    reply: appViewSchema,
  },
  "apps.forget": {
    kind: "write",
    summary: "Takes an instance with apps out of the fleet; a living one comes back by its next report",
    request: z.strictObject({ instance: idSchema, by, reason }),
    reply: z.object({ instance: idSchema }),
  },
  "apps.list": {
    kind: "read",
    summary: "The apps, by name",
    request: z.strictObject({
      ...page,
      after: idSchema.nullable().default(null),
      /** Tombstones too. */
      uninstalled: z.boolean().default(false),
    }),
    reply: listOf(appViewSchema).extend({
      next: idSchema.nullable(),
      /** On the first page: the first of those that instances have and nobody asked for. Coordinators of earlier versions do not say. */
      unasked: z.array(idSchema).max(appRowsMax).optional(),
    }),
  },
  "apps.get": {
    kind: "read",
    summary: "One app",
    request: z.strictObject({ app: idSchema }),
    reply: appViewSchema.extend(copied),
  },
  "apps.status": {
    kind: "read",
    summary: "Apps and instances, each with both statuses, a page at a time; only mismatches unless asked",
    request: z.strictObject({
      app: idSchema.nullable().default(null),
      instance: idSchema.nullable().default(null),
      all: z.boolean().default(false),
      after: z
        .strictObject({ app: idSchema, instance: idSchema })
        .nullable()
        .default(null)
        .meta({ description: "The `next` of the page before" }),
      perCause: z.int().min(1).optional().meta({
        description: "At most so many instances of an app that are not as asked for the same cause",
      }),
      limit: z.int().min(1).max(appRowsMax).default(appRowsMax),
    }),
    reply: listOf(appRowSchema).extend({
      counts: countsSchema,
      /** Heard instances that have an app nobody asked for, counted for each such app. Coordinators of earlier versions do not say. */
      unasked: z.number().optional(),
      next: z.object({ app: idSchema, instance: idSchema }).nullable(),
    }),
  },
  "apps.why": {
    kind: "read",
    summary: "Why an app is on an instance what it is, in one sentence",
    request: z.strictObject({ app: idSchema, instance: idSchema }),
    reply: whySchema.extend({ row: appRowSchema, ...copied }),
  },
  "apps.history": {
    kind: "read",
    summary: "When and why the statuses of an app changed, the newest page first, each page oldest first",
    request: z.strictObject({
      app: idSchema,
      instance: idSchema.nullable().default(null),
      before: z.int().min(1).nullable().default(null),
      ...page,
    }),
    reply: z.object({ items: z.array(appHistoryItemSchema), before: z.number().nullable() }),
  },
  "apps.reconcile": {
    kind: "write",
    summary: "Has instances try again now what is not as asked, also what failed for a permanent cause",
    request: z.strictObject({
      app: idSchema.nullable().default(null),
      instance: idSchema.nullable().default(null),
      by,
      reason,
      requestKey,
    }),
    reply: appReconciledSchema,
  },
} as const satisfies Record<
  string,
  { kind: "read" | "write"; summary: string; request: z.ZodType; reply: z.ZodType }
>;
