import { z } from "zod";
import { findingsMax, outcomeOfItemSchema } from "./inventory.js";

/** What a reconciliation found and did; said by the leader. */

/** Things in one report; more are counted. */
export const reconciledItemsMax = 1_000;

export const reconciledItemSchema = z.object({
  /** The object that it is about, `instance/web-1`, `deployment/d7`, `file/v3.tar`. */
  object: z.string().max(256),
  /** What was found. */
  what: z.string().max(512),
  /** `planned`: it would be done; `left`: it is not, and `why` says the reason. */
  outcome: z.enum([...outcomeOfItemSchema.options, "planned"]),
  why: z.string().max(1_024),
});
export type ReconciledItem = z.infer<typeof reconciledItemSchema>;

export const reconciliationCountsSchema = z.object({
  found: z.number(),
  planned: z.number(),
  done: z.number(),
  gone: z.number(),
  left: z.number(),
  failed: z.number(),
});
export type ReconciliationCounts = z.infer<typeof reconciliationCountsSchema>;

/** `reconciliation`: the last one that was not a dry run; kept for whoever leads next. */
export const reconciliationRecordSchema = z.object({
  format: z.literal(1),
  by: z.string().max(128),
  /** Ledger time. */
  startedAtMs: z.number(),
  tookMs: z.number(),
  counts: reconciliationCountsSchema,
});
export type ReconciliationRecord = z.infer<typeof reconciliationRecordSchema>;

export const reconciliationReportSchema = z.object({
  /** `underWay`: ask again, with the same key and this epoch. */
  state: z.enum(["underWay", "over"]),
  epoch: z.number(),
  dryRun: z.boolean(),
  by: z.string(),
  startedAtMs: z.number(),
  tookMs: z.number(),
  counts: reconciliationCountsSchema,
  items: z.array(reconciledItemSchema).max(reconciledItemsMax + findingsMax),
  /** Things that did not fit into the report. */
  more: z.number(),
});
export type ReconciliationReport = z.infer<typeof reconciliationReportSchema>;
