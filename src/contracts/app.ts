import { z } from "zod";
import { appRequestsMax, appsMax, auditedLogsMax } from "./app-limits.js";
import { markSchema } from "./deployment.js";
import { idSchema, versionSchema } from "./names.js";

/** Of the settings of one app, as JSON text. */
const settingsCharactersMax = 16_384;

/** What administrators want of an app, on all instances. */
export const desiredStatusSchema = z.enum(["enabled", "disabled", "uninstalled"]);
export type DesiredStatus = z.infer<typeof desiredStatusSchema>;

/** What an app really came to on one instance. */
export const initStatusSchema = z.enum([
  "unknown",
  "constructed",
  "initialized",
  "auto_enabled",
  "manually_enabled",
  "compiler_error_disabled",
  "error_disabled",
  "manually_disabled",
  "invalid_settings_disabled",
  "invalid_license_disabled",
  "invalid_installation_disabled",
  "disabled",
]);
export type InitStatus = z.infer<typeof initStatusSchema>;

export const appSettingsSchema = z
  .record(z.string().min(1).max(128), z.json())
  .refine(
    (settings) => JSON.stringify(settings).length <= settingsCharactersMax,
    `settings are at most ${settingsCharactersMax} characters of JSON`,
  );
export type AppSettings = z.infer<typeof appSettingsSchema>;

/** What an engine gets to run: a version of an app with its settings. */
export const appContentSchema = z.strictObject({
  version: versionSchema,
  /** Where its files are, in words that the engine understands: a folder, a command. */
  source: z.string().min(1).max(1_024).nullable(),
  settings: appSettingsSchema,
});
export type AppContent = z.infer<typeof appContentSchema>;

const ledgerId = z.string().min(1).max(64);
const generation = z.int().min(1);

const asked = {
  app: idSchema,
  /** Grows with every change of what is asked of this app. */
  generation,
  desiredStatus: desiredStatusSchema,
  content: appContentSchema,
};

/** A request that has changed an app, and what its answer said: repeats carry the same key and get the same answer. */
const appRequestSchema = z.strictObject({
  key: z.string().max(64),
  generation,
  desiredStatus: desiredStatusSchema,
  version: versionSchema,
});
export type AppRequestMade = z.infer<typeof appRequestSchema>;

/** `app.<app>`: an app of the fleet; an uninstalled one is a tombstone. It comes back with a restored ledger, what was told does not. */
export const appRecordSchema = z.strictObject({
  format: z.literal(1),
  ...asked,
  added: markSchema,
  /** The change that made this generation. */
  changed: markSchema,
  /** The generation in which each was last changed: whoever knows an older one is told what is another since. */
  changedIn: z.strictObject({
    desiredStatus: generation,
    version: generation,
    source: generation,
    settings: generation,
  }),
  /** The newest requests that have changed it, the newest first. */
  requests: z.array(appRequestSchema).max(appRequestsMax),
  /** What the single status of old said, if it was migrated from there. */
  legacyStatus: initStatusSchema.nullable(),
});
export type AppRecord = z.infer<typeof appRecordSchema>;

/** `desired.app.<app>`: the same as instances are told of it. No record at all means "keep what you run". */
export const desiredAppSchema = z.strictObject({
  format: z.literal(1),
  ledgerId,
  epoch: z.int().min(1),
  ...asked,
  /** Of the list, when this was written: who has heard the one before it has missed nothing. */
  appsGeneration: generation,
});
export type DesiredApp = z.infer<typeof desiredAppSchema>;

/** `desired.apps`: every app, tombstones included, and the generation of what is asked of it. Agents can get single keys only. */
export const appListSchema = z.strictObject({
  format: z.literal(1),
  ledgerId,
  epoch: z.int().min(1),
  /** Grows by one with every change of any app. */
  generation,
  apps: z
    .record(idSchema, generation)
    .refine((apps) => Object.keys(apps).length <= appsMax, `at most ${appsMax} apps`),
});
export type AppList = z.infer<typeof appListSchema>;

/** `app-instance.<instance>`: what the control plane must not forget of an instance with apps. */
export const appInstanceRecordSchema = z.strictObject({
  format: z.literal(1),
  instance: idSchema,
  joinedAtMs: z.int(),
  /** By the logs of the instance that were heard of, the newest first: the newest change that is in the audit log. */
  audited: z
    .array(z.strictObject({ log: z.string().min(1).max(64), number: z.int().min(0) }))
    .max(auditedLogsMax),
  /** Alerts that were raised and not cleared, by app: when, in ledger time. */
  alertedAtMs: z.record(idSchema, z.int()),
});
export type AppInstanceRecord = z.infer<typeof appInstanceRecordSchema>;
