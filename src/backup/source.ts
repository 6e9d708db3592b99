import type { Objects } from "../base/ports.js";
import type { AuditEvent } from "../ledger/event-chain.js";
import type { Store } from "../ledger/store.js";

/** A ledger as a backup reads it: whatever its state, by whoever leads it, changing nothing. */
export interface LedgerSource {
  readonly fleet: string;
  readonly store: Pick<Store, "scan" | "read">;
  /** The audit events, oldest first, until there are no more. */
  events(): AsyncIterable<AuditEvent>;
  readonly objects: Pick<Objects, "list" | "get">;
}
