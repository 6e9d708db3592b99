import { z } from "zod";
import type { LedgerEntry } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { StoredMessage } from "./store.js";

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

/**
 * The record in a message of the store; `undefined` for a key that was never written or was deleted.
 *
 * @throws RollcallError `LEDGER_CORRUPT`
 */
export function recordIn<T>(
  fleet: string,
  schema: z.ZodType<T>,
  message: StoredMessage | undefined,
): T | undefined {
  if (message === undefined || message.deleted) return undefined;
  const parsed = schema.safeParse(valueIn(fleet, message));
  if (parsed.success) return parsed.data;
  throw refusal("LEDGER_CORRUPT", { fleet, key: message.key, problem: z.prettifyError(parsed.error) });
}

/** @throws RollcallError `LEDGER_CORRUPT` */
export function valueIn(fleet: string, message: Pick<StoredMessage, "key" | "body">): unknown {
  try {
    return JSON.parse(message.body);
  } catch (thrown) {
    throw refusal("LEDGER_CORRUPT", { fleet, key: message.key, problem: "it is not JSON" }, thrown);
  }
}

/** @throws RollcallError `LEDGER_CORRUPT` */
export function entryOf(fleet: string, message: StoredMessage): LedgerEntry {
  const { key, revision, writtenAtMs, deleted } = message;
  return { key, value: deleted ? undefined : valueIn(fleet, message), revision, writtenAtMs };
}
