import type { Clock, Ledger, Log, Random } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { NatsLink } from "./nats-link.js";
import type { StoreSizes } from "./nats-setup.js";
import { defaultSizes, setUpStores } from "./nats-setup.js";
import { NatsStore } from "./nats-store.js";
import type { Store } from "./store.js";
import type { LedgerParts } from "./store-ledger.js";
import { openStoreLedger } from "./store-ledger.js";

/** What the ledger of a fleet in JetStream is opened with. */
export interface NatsLedgerOptions {
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
}

/**
 * Opens the ledger of a fleet in JetStream, and makes its bucket, its stream of audit events and its store of files
 * where they are not there yet. For coordinators and tools, which have all rights; an agent has `openLedgerReader`.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `LEDGER_CORRUPT`, `LEDGER_NEWER`, `LEDGER_HALF_RESTORED`, `NOT_ALLOWED`
 */
export async function openNatsLedger(options: NatsLedgerOptions): Promise<Ledger> {
  return await openStoreLedger(await natsLedgerParts(options));
}

/**
 * The stores of a fleet, made where they are not there yet, without looking at what they hold: what a restore begins with.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `NOT_ALLOWED`
 */
export async function natsLedgerParts(options: NatsLedgerOptions): Promise<LedgerParts> {
  const { fleet, bus, clock, random, log, replicas = 1, commitTimeoutMs } = options;
  await setUpStores({ fleet, link: bus, clock, log, replicas, sizes: { ...defaultSizes, ...options.sizes } });
  return { fleet, store: new NatsStore(fleet, bus, clock), bus, clock, random, log, commitTimeoutMs };
}

/**
 * The store of a fleet that is there already, to look at: nothing is made.
 *
 * @throws RollcallError `NO_LEDGER`, `LEDGER_UNAVAILABLE`, `NOT_ALLOWED`
 */
export async function findNatsStore({
  fleet,
  bus,
  clock,
}: Pick<NatsLedgerOptions, "fleet" | "bus" | "clock">): Promise<Store> {
  const store = new NatsStore(fleet, bus, clock);
  if (!(await store.isThere())) throw refusal("NO_LEDGER", { fleet });
  return store;
}
