import type { Clock, Ledger, Log, Random } from "../base/ports.js";
import type { NatsLink } from "./nats-link.js";
import type { StoreSizes } from "./nats-setup.js";
import { defaultSizes, setUpStores } from "./nats-setup.js";
import { NatsStore } from "./nats-store.js";
import { openStoreLedger } from "./store-ledger.js";

/**
 * Opens the ledger of a fleet in JetStream, and makes its bucket, its stream of audit events and its store of files
 * where they are not there yet. For coordinators and tools, which have all rights; an agent has `openLedgerReader`.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `LEDGER_CORRUPT`, `LEDGER_NEWER`, `NOT_ALLOWED`
 */
export async function openNatsLedger(options: {
  readonly fleet: string;
  readonly bus: NatsLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Copies of each stream, 3 on a cluster. Of streams that are there already an administrator decides. */
  readonly replicas?: number;
  readonly sizes?: Partial<StoreSizes>;
  /** How long a commit without an answer is tried; 20 s unless told, a minute at most. */
  readonly commitTimeoutMs?: number;
}): Promise<Ledger> {
  const { fleet, bus, clock, random, log, replicas = 1 } = options;
  await setUpStores({ fleet, link: bus, clock, log, replicas, sizes: { ...defaultSizes, ...options.sizes } });
  const { commitTimeoutMs } = options;
  const store = new NatsStore(fleet, bus, clock);
  return await openStoreLedger({ fleet, store, bus, clock, random, log, commitTimeoutMs });
}
