import { z } from "zod";
import { amountSchema, claimStateSchema } from "../../contracts/deployment.js";
import { reasonSchema } from "../../contracts/instance.js";
import { versionPairSchema } from "../../contracts/version.js";
import type { RecordedEvent } from "./recorded-event.js";
import { UnusableLog } from "./unusable-log.js";

/** What a replay reads of the data of events. Versions before this one said less: what they left out is optional here. */

const name = z.string().nullable();
const versions = versionPairSchema.nullable();
const ms = z.number().min(0);

export const createdSchema = z.object({
  release: name,
  config: name,
  selector: name,
  batch: z.int().min(1),
  failureThreshold: z.int().min(1),
  matched: z.int().min(0),
  rollbackOf: name,
  retryOf: name,
  askedBatch: amountSchema.optional(),
  askedThreshold: amountSchema.optional(),
  minHealthyMs: ms.optional(),
  deadlineMs: ms.optional(),
  progressDeadlineMs: ms.optional(),
  rollback: z.enum(["auto", "off"]).optional(),
  onStuck: z.enum(["fail", "report"]).optional(),
});
export type Created = z.infer<typeof createdSchema>;

export const claimedSchema = z.object({
  deployment: z.string(),
  target: versions,
  before: versions,
  state: claimStateSchema,
  urgent: z.boolean().optional(),
});
export const instanceToldSchema = z.object({ target: versions });
export const failedSchema = z.object({ reason: reasonSchema });
export const releasedSchema = z.object({
  deployment: name,
  stable: versions,
  owed: z.object({ deployment: z.string() }).nullish(),
});
export const movedSchema = z.object({ agent: z.string() });

export const stepSchema = z.object({
  step: z.int(),
  instances: z.int().default(0),
  unreachable: z.int().optional(),
});
export const heldSchema = z.object({ others: z.int().optional(), newlySilent: z.int().optional() });
export const stuckSchema = z.object({ stillForMs: ms.optional() });
export const endingSchema = z.object({
  outcome: z.string().nullable(),
  reason: z.union([reasonSchema, z.string()]).nullable(),
});
export const rollbackSchema = z.object({ rollbackOf: z.string() });
export const spokenSchema = z.object({ reason: z.unknown().optional() });

/** The data of an event as its schema has it. @throws UnusableLog */
export function dataOf<T extends z.ZodType>(schema: T, event: RecordedEvent): z.infer<T> {
  const read = schema.safeParse(event.data);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new UnusableLog(
    event.line,
    `the data of ${event.type} of ${event.id} cannot be read: ${issue?.path.join(".")}: ${issue?.message}`,
  );
}
