import { z } from "zod";

/** What a ledger keeps of itself, under the keys in `ledgerKeys`. */

/** The format of the records that the ledger keeps of itself. */
export const ledgerFormat = 1;
/** Of a ledger that is being restored: one that nobody may lead over, and that a Rollcall which knows no restores leaves alone. */
export const restoringFormat = 2;

const restoredFromSchema = z.object({ ledgerId: z.string().min(1), revision: z.int(), takenAtMs: z.int() });

/** Key `ledger`. */
export const ledgerRecordSchema = z.object({
  format: z.int(),
  ledgerId: z.string().min(1),
  /** The backup that it was, or with `restoringFormat` is being, restored from. */
  restoredFrom: restoredFromSchema.nullable().default(null),
});
export type LedgerRecord = z.infer<typeof ledgerRecordSchema>;
/**
 * Keys `lease`, until the server removes it, and `epoch`, which stays: who leads. `claim` tells one taking of the lease from
 * another of the same holder.
 */
export const claimRecordSchema = z.object({ holder: z.string(), epoch: z.int(), claim: z.string() });
/** Key `event-head`. */
export const headRecordSchema = z.object({ sequence: z.int(), hash: z.string() });

export type ClaimRecord = z.infer<typeof claimRecordSchema>;
