import type { Clock, LedgerEntry } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import {
  claimRecordSchema,
  headRecordSchema,
  ledgerRecordSchema,
  restoringFormat,
} from "../contracts/ledger-records.js";
import { auditLagMaxMs } from "../ledger/audit-log.js";
import type { AuditEvent, ChainHead } from "../ledger/event-chain.js";
import { recordIn, valueIn } from "../ledger/records.js";
import type { LedgerSource } from "./source.js";

const eventsRetryMs = 1_000;

/** A ledger exactly as of one revision. */
export interface Snapshot {
  readonly ledgerId: string;
  readonly epoch: number;
  readonly revision: number;
  readonly head: ChainHead | null;
  readonly entries: readonly LedgerEntry[];
}

/**
 * @throws RollcallError `NO_LEDGER` if there is none, `LEDGER_HALF_RESTORED`, `LEDGER_CORRUPT`, `LEDGER_UNAVAILABLE`
 */
export async function snapshotOf({ fleet, store }: LedgerSource): Promise<Snapshot> {
  const messages = await store.scan();
  const at = (key: string) => messages.find((message) => message.key === key);
  const ledger = recordIn(fleet, ledgerRecordSchema, at(keys.ledger));
  if (ledger === undefined) throw refusal("NO_LEDGER", { fleet });
  if (ledger.format === restoringFormat) throw refusal("LEDGER_HALF_RESTORED", { fleet });
  return {
    ledgerId: ledger.ledgerId,
    epoch: recordIn(fleet, claimRecordSchema, at(keys.epoch))?.epoch ?? 0,
    head: recordIn(fleet, headRecordSchema, at(keys.eventHead)) ?? null,
    revision: messages.reduce((newest, { revision }) => Math.max(newest, revision), 0),
    entries: messages.map((message) => ({
      key: message.key,
      value: valueIn(fleet, message),
      revision: message.revision,
      writtenAtMs: message.writtenAtMs,
    })),
  };
}

/**
 * The audit events up to the end that the snapshot names, waiting for those that the stream does not have yet. Those of
 * earlier ledgers are among them.
 */
export async function eventsUpTo(
  source: LedgerSource,
  { head, ledgerId }: Snapshot,
  clock: Clock,
): Promise<AuditEvent[]> {
  const untilMs = clock.monotonicMs() + auditLagMaxMs;
  for (;;) {
    const events: AuditEvent[] = [];
    let reached = head === null;
    for await (const event of source.events()) {
      const isOurs = event.id === `${ledgerId}-${event.sequence}`;
      // Written after the snapshot was taken.
      if (isOurs && event.sequence > (head?.sequence ?? 0)) break;
      events.push(event);
      reached ||= isOurs && event.sequence === head?.sequence;
    }
    if (reached || clock.monotonicMs() >= untilMs) return events;
    await new Promise<void>((resolve) => clock.setTimer(eventsRetryMs, resolve));
  }
}
