import { messageOf } from "../base/errors.js";
import { mintedAtMsOf, mintLedgerId } from "../base/ledger-id.js";
import type {
  Leadership,
  Ledger,
  LedgerBatch,
  LedgerEntry,
  LedgerEvent,
  RestoredFrom,
  Timer,
} from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys, ledgerKeys } from "../contracts/keys.js";
import {
  claimRecordSchema,
  headRecordSchema,
  ledgerFormat,
  ledgerRecordSchema,
  restoringFormat,
} from "../contracts/ledger-records.js";
import type { ChainHead } from "./event-chain.js";
import { recordIn } from "./records.js";
import type { LedgerParts } from "./store-ledger.js";
import { openStoreLedger } from "./store-ledger.js";

/** Long enough for any server; a restore gives it back at its end. */
const leaseMs = 12_000;
const writeTimeoutMs = 5_000;
/** Keys in one batch, well below what one may hold. */
const keysAtOnceMax = 300;

/** What a restore puts into a ledger, and why it is newer than all before it. */
export interface RestoreOptions {
  /** A name of its own among the fleet's coordinators. */
  readonly holder: string;
  readonly from: RestoredFrom;
  /** The epoch under which the backup was taken: the next one is greater. */
  readonly epoch: number;
  /** The new ledger begins after this ledger time, at which the newest record was made. */
  readonly afterMs: number;
  /** Who restores it, and the request that did. */
  readonly origin: Pick<LedgerEvent, "actor" | "cause">;
  /** Of the backup, for the audit log. */
  readonly about: Readonly<Record<string, unknown>>;
  /**
   * Looks at what is there, once nobody else can change it, and says what to put in its place. What it throws leaves everything
   * as it is.
   */
  readonly prepare: (
    found: FoundLedger,
  ) => Promise<readonly { readonly key: string; readonly value: unknown }[]>;
}

/** The ledger that a restore finds. */
export interface FoundLedger {
  readonly entries: readonly LedgerEntry[];
  /** An earlier restore of it did not come to its end: what is there is worth nothing. */
  readonly halfRestored: boolean;
  /** Ledger time now. */
  readonly nowMs: number;
}

/** What was restored. */
export interface RestoredLedger {
  readonly ledgerId: string;
  readonly records: number;
}

/**
 * Puts records in the place of everything that a ledger holds, under a new identity that is newer than the one before. Takes
 * the lease for it, so that nobody leads meanwhile; what is killed in its middle leaves a ledger that nobody leads over and
 * that another restore finishes.
 *
 * @throws RollcallError `LEDGER_IN_USE` while a coordinator leads, `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `LEDGER_NEWER`
 */
export async function restoreLedger(parts: LedgerParts, options: RestoreOptions): Promise<RestoredLedger> {
  const whole = { ...parts, forRestore: true };
  await seedEpoch(parts, options.epoch);
  const ledger = await openStoreLedger(whole);
  const lease = new HeldLease(whole, ledger, options.holder);
  let leadership = await lease.take();
  try {
    const found = await foundIn(whole, ledger, leadership);
    const puts = await options.prepare(found);
    const before = await begin(whole, found, {
      ...options,
      ledgerId: newIdOf(whole, ledger, { options, found }),
    });
    // From here on under the new identity, and so with a chain of its own.
    leadership = await lease.take();
    const { ledgerId } = ledger;
    await replace(leadership, {
      fleet: parts.fleet,
      ledgerId,
      entries: found.entries,
      puts,
      before,
      options,
    });
    return { ledgerId, records: puts.length };
  } finally {
    await lease.giveBack();
  }
}

/** The lease of a restore, renewed until it is given back. */
class HeldLease {
  readonly #parts: LedgerParts;
  readonly #ledger: Ledger;
  readonly #holder: string;
  #leadership: Leadership | undefined;
  #timer: Timer | undefined;

  constructor(parts: LedgerParts, ledger: Ledger, holder: string) {
    this.#parts = parts;
    this.#ledger = ledger;
    this.#holder = holder;
  }

  async take(): Promise<Leadership> {
    const got = await this.#ledger.acquire({ holder: this.#holder, leaseMs });
    if ("heldBy" in got) throw refusal("LEDGER_IN_USE", { fleet: this.#parts.fleet, holder: got.heldBy });
    this.#leadership = got;
    this.#timer ??= this.#renewLater();
    return got;
  }

  async giveBack(): Promise<void> {
    this.#timer?.cancel();
    await this.#leadership?.resign();
  }

  #renewLater(): Timer {
    return this.#parts.clock.setTimer(leaseMs / 4, () => {
      // Of a lease that is lost the next write tells; the server refuses it.
      this.#leadership
        ?.renew()
        .catch((error: unknown) =>
          this.#parts.log.debug({ error: messageOf(error) }, "the lease was not renewed"),
        );
      this.#timer = this.#renewLater();
    });
  }
}

/** Epochs never go back, not even on a server that knows nothing of the fleet. */
async function seedEpoch({ fleet, store }: LedgerParts, epoch: number): Promise<void> {
  const found = await store.read(keys.epoch);
  if ((recordIn(fleet, claimRecordSchema, found)?.epoch ?? 0) >= epoch) return;
  const lease = recordIn(fleet, claimRecordSchema, await store.read(keys.lease));
  if (lease !== undefined) throw refusal("LEDGER_IN_USE", { fleet, holder: lease.holder });
  const body = JSON.stringify({ holder: "a restore", epoch, claim: "a restore" });
  const expect = { key: keys.epoch, revision: found?.revision ?? 0 };
  const answer = await store.write({ writes: [{ key: keys.epoch, body, expect }] }, writeTimeoutMs);
  if (answer.kind !== "stored") throw unwritten(fleet, answer);
}

async function foundIn(
  { fleet, store }: LedgerParts,
  ledger: Ledger,
  leadership: Leadership,
): Promise<FoundLedger> {
  const record = recordIn(fleet, ledgerRecordSchema, await store.read(keys.ledger));
  return {
    entries: await ledger.readAll(),
    halfRestored: record?.format === restoringFormat,
    nowMs: Math.round(leadership.ledgerNowMs()),
  };
}

function newIdOf(
  { random }: LedgerParts,
  { ledgerId }: Ledger,
  { options, found }: { readonly options: RestoreOptions; readonly found: FoundLedger },
): string {
  const earlier = [ledgerId, options.from.ledgerId].map((id) => mintedAtMsOf(id) ?? 0);
  return mintLedgerId(
    Math.max(found.nowMs, options.afterMs + 1, ...earlier.map((atMs) => atMs + 1)),
    random.id(),
  );
}

/** Marks the ledger as being restored, so that nobody leads over it, and ends its audit log. @returns where that ended */
async function begin(
  { fleet, store }: LedgerParts,
  { entries }: FoundLedger,
  { holder, from, ledgerId }: RestoreOptions & { readonly ledgerId: string },
): Promise<ChainHead | null> {
  const epoch = await store.read(keys.epoch);
  if (epoch === undefined || recordIn(fleet, claimRecordSchema, epoch)?.holder !== holder)
    throw refusal("LEDGER_IN_USE", { fleet, holder: "another one" });
  const body = JSON.stringify({ format: restoringFormat, ledgerId, restoredFrom: from });
  const expect = { key: keys.epoch, revision: epoch.revision };
  const answer = await store.write(
    {
      writes: [
        { key: keys.ledger, body, expect },
        { key: keys.eventHead, body: "", deleted: true },
      ],
    },
    writeTimeoutMs,
  );
  if (answer.kind !== "stored") throw unwritten(fleet, answer);
  const head = headRecordSchema.safeParse(entries.find(({ key }) => key === keys.eventHead)?.value);
  return head.success ? head.data : null;
}

interface Replacement {
  readonly fleet: string;
  readonly ledgerId: string;
  readonly entries: readonly LedgerEntry[];
  readonly puts: readonly { readonly key: string; readonly value: unknown }[];
  readonly before: ChainHead | null;
  readonly options: RestoreOptions;
}

/** Removes what is there and writes what is to be there; the mark goes last. */
async function replace(
  leadership: Leadership,
  { fleet, ledgerId, entries, puts, before, options }: Replacement,
): Promise<void> {
  const { about, from, origin } = options;
  const commit = (what: string, data: object, changes: Partial<Omit<LedgerBatch, "events">>) => {
    const event = { kind: "ledger", id: fleet, type: `ledger.${what}`, data: { ...data }, ...origin };
    return leadership.commit({ puts: [], deletes: [], ...changes, events: [event] });
  };
  const kept = new Set([...puts.map(({ key }) => key), ...ledgerKeys]);
  const deletes = entries.map(({ key }) => key).filter((key) => !kept.has(key));
  await commit("restoring", { ...about, before }, {});
  for (const some of chunksOf(deletes)) await commit("rewritten", { keys: some.length }, { deletes: some });
  for (const some of chunksOf(puts)) await commit("rewritten", { keys: some.length }, { puts: some });
  const value = { format: ledgerFormat, ledgerId, restoredFrom: from };
  await commit("restored", { records: puts.length, from }, { puts: [{ key: keys.ledger, value }] });
}

function* chunksOf<T>(all: readonly T[]): Iterable<readonly T[]> {
  for (let at = 0; at < all.length; at += keysAtOnceMax) yield all.slice(at, at + keysAtOnceMax);
}

function unwritten(fleet: string, answer: { readonly kind: string; readonly problem?: string }): Error {
  if (answer.kind === "conflict") return refusal("LEDGER_IN_USE", { fleet, holder: "another one" });
  const { problem = answer.kind } = answer;
  return refusal(answer.kind === "full" ? "LEDGER_FULL" : "LEDGER_UNAVAILABLE", { fleet, problem });
}
