import { z } from "zod";
import type { LedgerEntry } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { StoredMessage } from "./store.js";

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
