import { z } from "zod";
import { appContentSchema, desiredStatusSchema, initStatusSchema } from "./app.js";
import { appChangesMax, appsMax } from "./app-limits.js";
import { idSchema, versionSchema } from "./names.js";

/** Of a reason in a report, so that all apps of an instance fit one message; the whole text is had by `explain`. */
export const shortReasonMax = 200;

/** Why an app is not as asked, shortened. */
export const shortReasonSchema = z.strictObject({
  code: z.string().max(64),
  message: z.string().max(shortReasonMax),
});
export type ShortReason = z.infer<typeof shortReasonSchema>;

const generation = z.int().min(0);
/** By the wall clock of the instance; a report's `atMs` says how far that is off. */
const wallMs = z.int();

/** One app on one instance. Equal states have equal texts: {@link appStateText}. */
export const appStateSchema = z.strictObject({
  app: idSchema,
  /** Of what is asked, the newest that this instance acts on; 0: its ledger does not know the app, which is kept as it is. */
  generation,
  initStatus: initStatusSchema,
  /** Whether anything of it is here; a tombstone is confirmed when not. */
  installed: z.boolean(),
  /** What is installed. */
  version: versionSchema.nullable(),
  reason: shortReasonSchema.nullable(),
  /** Since when the init status is this. */
  sinceMs: wallMs,
  /** Since when it is not what this instance knows to be asked; `null` while it is. */
  mismatchSinceMs: wallMs.nullable(),
  /** Tries that failed since it was asked for, or since it last worked for long. */
  attempts: z.int().min(0),
  /** `null`: it is as asked, is being worked on, or is tried again only when something changes or somebody asks. */
  nextAttemptAtMs: wallMs.nullable(),
  /** It has failed for a cause that only a change of what is asked, or somebody who asks, can take away. */
  stopped: z.boolean(),
});
export type AppState = z.infer<typeof appStateSchema>;

/** The text of a state, of which the digest of all is made. */
export function appStateText(state: AppState): string {
  return JSON.stringify([
    state.app,
    state.generation,
    state.initStatus,
    state.installed,
    state.version,
    state.reason?.code,
    state.reason?.message,
    state.sinceMs,
    state.mismatchSinceMs,
    state.attempts,
    state.nextAttemptAtMs,
    state.stopped,
  ]);
}

/**
 * What made an init status change: `told` something else is asked; `started` the instance has started; `retried` it was time to
 * try again; `asked` somebody asked to try again; `ended` the app ended by itself.
 */
export const changeCauseSchema = z.enum(["told", "started", "retried", "asked", "ended"]);
export type ChangeCause = z.infer<typeof changeCauseSchema>;

/** A change of an init status, numbered without gaps within the log of an instance. */
export const appChangeSchema = z.strictObject({
  number: z.int().min(1),
  app: idSchema,
  generation,
  from: initStatusSchema,
  to: initStatusSchema,
  cause: changeCauseSchema,
  reason: shortReasonSchema.nullable(),
  atMs: wallMs,
});
export type AppChange = z.infer<typeof appChangeSchema>;

/**
 * `apps.<instance>`. Each carries the numbers that make a lost message harmless; states ride along when they changed or are asked
 * for, and the digest tells who has not got all of them.
 */
export const appReportSchema = z.strictObject({
  format: z.literal(1),
  instance: idSchema,
  /** Minted at each start; `seq` counts within it. */
  incarnation: z.string().min(1).max(64),
  seq: z.int().min(0),
  agentVersion: z.string().max(64),
  /** The newest format of a desired app that is read here. */
  desiredFormat: z.int().min(1),
  ledgerId: z.string().max(64).nullable(),
  /** Of the list of apps: everything up to it has been heard; 0: nothing yet. */
  generation,
  /** Of the set of all states, by `SetDigest`. */
  digest: z.string().regex(/^[0-9a-f]{32}$/),
  count: z.int().min(0).max(appsMax),
  /** The newest change; `log` is minted when an instance begins to count anew. */
  changes: z.strictObject({ log: z.string().min(1).max(64), number: z.int().min(0) }),
  /** When it was sent. */
  atMs: wallMs,
  apps: z
    .strictObject({
      /** All that there are; otherwise those that changed. */
      whole: z.boolean(),
      states: z.array(appStateSchema).max(appsMax),
      /** No longer here. */
      gone: z.array(idSchema).max(appsMax),
    })
    .optional(),
  /** The newest changes, in their order; not all of them. */
  recent: z.array(appChangeSchema).max(appChangesMax).optional(),
});
export type AppReport = z.infer<typeof appReportSchema>;

const epoch = z.int().min(1).optional();
/** Of who asks: epochs compare within one ledger. */
const askerLedgerId = z.string().max(64).optional();

/** `apps-ask.<instance>.report`: answered by the whole report. What a newer control plane adds is left out. */
export const appReportAskSchema = z.object({
  epoch,
  ledgerId: askerLedgerId,
  intervalMs: z.int().min(1).optional(),
  /** The newest format of a report that may be sent. */
  reportFormat: z.int().min(1).optional(),
  /** Of the list that there is: who has heard less reads it. */
  generation: z.int().min(1).optional(),
  /** With the changes after that one, or all that are kept of another log. */
  changesAfter: z.object({ log: z.string().max(64), number: z.int().min(0) }).optional(),
});
export type AppReportAsk = z.infer<typeof appReportAskSchema>;

/** `apps-ask.<instance>.retry`: tries again now what is not as asked; `null`: all of it. */
export const appRetryAskSchema = z.object({
  epoch,
  ledgerId: askerLedgerId,
  apps: z.array(idSchema).max(appsMax).nullable(),
});
export const appRetryAnswerSchema = z.object({
  /** Is tried again. */
  retried: z.array(idSchema).max(appsMax),
  /** Was asked for by name and is as asked, is being worked on, or is not here. */
  left: z.array(idSchema).max(appsMax),
});
export type AppRetryAnswer = z.infer<typeof appRetryAnswerSchema>;

/** `apps-ask.<instance>.explain`: one app at length. */
export const appExplainAskSchema = z.object({ epoch, ledgerId: askerLedgerId, app: idSchema });
export const appExplanationSchema = z.object({
  state: appStateSchema.nullable(),
  /** What is done with it now, for people. */
  doing: z.string().max(256),
  /** Of its last failure, the whole. */
  reason: z.object({ code: z.string().max(64), message: z.string().max(4_096) }).nullable(),
  /** What this instance was asked last, by whichever ledger; agents of earlier versions do not say. */
  asked: z.object({ desiredStatus: desiredStatusSchema, content: appContentSchema }).nullable().default(null),
});
export type AppExplanation = z.infer<typeof appExplanationSchema>;
