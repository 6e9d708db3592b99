import type { Clock, LedgerReader } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import { headRecordSchema, ledgerRecordSchema } from "../contracts/ledger-records.js";
import { type AuditEntry, type AuditLog, auditLagMaxMs } from "./audit-log.js";
import type { AuditEvent, ChainHead } from "./event-chain.js";
import { chainVerifier, ledgerOf } from "./event-chain.js";

const lookAgainMs = 100;
/** Shorter waits are not worth a word. */
const sayAfterMs = 2_000;

/** A chain that is whole. */
export interface AuditVerdict {
  readonly events: number;
  readonly first: AuditEvent | null;
  readonly last: AuditEvent | null;
  /** Ledgers that the events are of: each begins a chain of its own. */
  readonly ledgers: number;
  /**
   * Whether the end was compared with the head that the ledger keeps: `agrees`, or `none` where there is no ledger, or it has no event
   * yet, to compare it with.
   */
  readonly end: "agrees" | "none";
}

/**
 * Checks events in their order.
 *
 * @throws RollcallError `AUDIT_BROKEN` at the first that does not follow the one before it
 */
export class AuditVerifier {
  readonly #verify = chainVerifier();
  readonly #ledgers = new Set<string>();
  #events = 0;
  #first: AuditEvent | null = null;
  #last: AuditEvent | null = null;

  take(event: AuditEvent): void {
    const problem = this.#verify(event);
    if (problem !== undefined) throw refusal("AUDIT_BROKEN", { problem });
    this.#events++;
    this.#first ??= event;
    this.#last = event;
    this.#ledgers.add(ledgerOf(event));
  }

  verdict(end: AuditVerdict["end"]): AuditVerdict {
    return {
      events: this.#events,
      first: this.#first,
      last: this.#last,
      ledgers: this.#ledgers.size,
      end,
    };
  }
}

/**
 * Reads the whole audit log of a fleet and checks it: each event is as it was written and follows the one before it, and the last one is the one that
 * the ledger itself says is the last.
 *
 * @param options `waitMs` how long events that the ledger has written may still be on their way into the log; `onWait` is told, once, if
 *   that takes a while
 * @throws RollcallError `AUDIT_BROKEN`, `LEDGER_UNAVAILABLE`, `NOT_ALLOWED`
 */
export async function verifyAudit(
  log: AuditLog,
  ledger: LedgerReader,
  clock: Clock,
  { waitMs = auditLagMaxMs, onWait }: { readonly waitMs?: number; readonly onWait?: () => void } = {},
): Promise<AuditVerdict> {
  // Before the events: what is written meanwhile comes behind it.
  const head = await headOf(ledger);
  const verifier = new AuditVerifier();
  const beganAtMs = clock.monotonicMs();
  let say = onWait;
  let newest: AuditEvent | undefined;
  let atHead: AuditEvent | undefined;
  const take = ({ event }: AuditEntry) => {
    verifier.take(event);
    if (ledgerOf(event) !== head?.ledgerId) return;
    newest = event;
    if (event.sequence === head.sequence) atHead = event;
  };
  for (let position = 0; ; ) {
    for await (const entry of log.read(position)) {
      take(entry);
      position = entry.position;
    }
    if (head === undefined) return verifier.verdict("none");
    const waitedMs = clock.monotonicMs() - beganAtMs;
    if (atHead !== undefined || waitedMs >= waitMs) break;
    if (waitedMs >= sayAfterMs) {
      say?.();
      say = undefined;
    }
    await new Promise<void>((resolve) => clock.setTimer(lookAgainMs, resolve));
  }
  if (atHead?.hash === head.hash) return verifier.verdict("agrees");
  throw refusal("AUDIT_BROKEN", { problem: differenceOf(head, newest, atHead, waitMs) });
}

function differenceOf(
  head: LedgerHead,
  newest: AuditEvent | undefined,
  atHead: AuditEvent | undefined,
  waitMs: number,
): string {
  const wanted = `${head.ledgerId}-${head.sequence}`;
  if (atHead !== undefined) return `event ${wanted} is not the one that the ledger has written`;
  const end = newest === undefined ? "it has no event of this ledger" : `it ends with ${newest.id}`;
  return `${end}, but the ledger has written events up to ${wanted}: the others were cut off, or NATS needs more than ${waitMs / 1_000} s to bring them (--wait)`;
}

type LedgerHead = ChainHead & { readonly ledgerId: string };

/** What the ledger says is the end of its log; `undefined` if there is no ledger, or no event yet. */
async function headOf(ledger: LedgerReader): Promise<LedgerHead | undefined> {
  const [identity, head] = await Promise.all([ledger.get(keys.ledger), ledger.get(keys.eventHead)]);
  const { ledgerId } = ledgerRecordSchema.safeParse(identity?.value).data ?? {};
  const end = headRecordSchema.safeParse(head?.value).data;
  return ledgerId === undefined || end === undefined ? undefined : { ...end, ledgerId };
}
