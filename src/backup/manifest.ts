import { z } from "zod";
import { idSchema } from "../contracts/names.js";

/** The format of backup files that this Rollcall writes, and the newest that it reads. */
export const backupFormat = 1;

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const partSchema = z.strictObject({ file: z.string().max(64), sizeBytes: count, sha256 });

/** `manifest.json`: what is in a backup, and of what. Fields that a later Rollcall adds are passed over. */
export const backupManifestSchema = z.object({
  format: z.literal(backupFormat),
  /** The version of Rollcall that took it. */
  rollcall: z.string().max(64),
  fleet: idSchema,
  ledgerId: z.string().min(1).max(64),
  /** The records are exactly as of this revision. */
  revision: count,
  epoch: count,
  takenAtMs: z.int(),
  /** The end of the audit log at that revision; `null`: there were no events. */
  head: z.object({ sequence: count, hash: z.string() }).nullable(),
  counts: z.object({
    deployments: count,
    instances: count,
    releases: count,
    configs: count,
    others: count,
    events: count,
    files: count,
  }),
  /** The files of releases and configurations are in it. */
  withFiles: z.boolean(),
  records: partSchema,
  events: partSchema,
  files: z.array(z.object({ name: z.string().max(256), digest: z.string().max(128), part: partSchema })),
});
export type BackupManifest = z.infer<typeof backupManifestSchema>;
export type BackupPart = z.infer<typeof partSchema>;

export const manifestFile = "manifest.json";
export const recordsFile = "records.ndjson";
export const eventsFile = "events.ndjson";
/** A part of a backup, by its path in the archive. */
export const partPattern = /^(manifest\.json|records\.ndjson|events\.ndjson|files\/\d{1,7})$/;

/** A line of `records.ndjson`. */
export const backupRecordSchema = z.strictObject({
  key: z.string().min(1),
  value: z.unknown(),
  revision: z.int().min(1),
  writtenAtMs: z.int(),
});

/** A line of `events.ndjson`; what later events say beside it counts for their hashes. */
export const backupEventSchema = z.looseObject({
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  epoch: z.int(),
  sequence: z.int(),
  previous: z.string(),
  hash: z.string(),
  body: z.string(),
});
