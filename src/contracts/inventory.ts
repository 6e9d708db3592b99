import { z } from "zod";
import { idSchema, versionSchema } from "./names.js";

/** What an agent and its leader say to each other about what lies on the agent's host and should not, or should and does not. */

/** Findings in one answer; more are counted. */
export const findingsMax = 200;

const findingKindSchema = z.enum(["link", "routes", "files", "release", "folder", "process"]);

/** One thing on an agent's host that is not as it should be, or that nobody there needs. */
export const findingSchema = z.object({
  /** Names it for as long as it is there. */
  key: z.string().min(1).max(256),
  kind: findingKindSchema,
  instance: idSchema,
  /** The release that it is about. */
  release: versionSchema.nullable(),
  /** What was found, for people. */
  what: z.string().max(512),
  /** `mend`: the agent puts it right by itself; `ask`: only if its leader allows; `keep`: it cannot or must not. */
  verdict: z.enum(["mend", "ask", "keep"]),
});
export type Finding = z.infer<typeof findingSchema>;

/** What became of one thing. `gone`: there was nothing to do any more. */
export const outcomeOfItemSchema = z.enum(["done", "gone", "left", "failed"]);
export type OutcomeOfItem = z.infer<typeof outcomeOfItemSchema>;

const epoch = z.int().min(1);
/** Of who asks: epochs compare within one ledger. */
const ledgerId = z.string().max(64).optional();

/** `ask.<instance>.inventory`; `host`: also what belongs to none of the agent's instances. */
export const inventoryAskSchema = z.object({ epoch, ledgerId, host: z.boolean().default(false) });
export const inventorySchema = z.object({
  instance: idSchema,
  agent: idSchema,
  findings: z.array(findingSchema).max(findingsMax),
  /** Findings that did not fit. */
  more: z.int().min(0),
});
export type Inventory = z.infer<typeof inventorySchema>;

/** `ask.<instance>.mend`: puts one finding right, also one that needs the leader's leave. */
export const mendAskSchema = z.object({ epoch, ledgerId, key: z.string().min(1).max(256) });
export const mendedSchema = z.object({ outcome: outcomeOfItemSchema, why: z.string().max(1_024) });
export type Mended = z.infer<typeof mendedSchema>;
