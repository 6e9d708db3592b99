import { mintLedgerId } from "../base/ledger-id.js";
import type {
  Bus,
  Clock,
  Leadership,
  LeaseHeld,
  Ledger,
  LedgerEntry,
  LedgerFollower,
  LedgerReader,
  Log,
  Random,
  RestoredFrom,
  Subscription,
} from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import {
  type ClaimRecord,
  claimRecordSchema,
  type LedgerRecord,
  ledgerFormat,
  ledgerRecordSchema,
  restoringFormat,
} from "../contracts/ledger-records.js";
import { subjectsOf } from "../contracts/subjects.js";
import { followLedger } from "./follow-ledger.js";
import { defaultCommitTimeoutMs, headIn, StoreLeadership } from "./leadership.js";
import { Lease } from "./lease.js";
import { openLedgerReader, subjectOfKey } from "./ledger-reader.js";
import { entryOf, recordIn } from "./records.js";
import { Room } from "./room.js";
import type { Store, StoredMessage } from "./store.js";

const writeTimeoutMs = 5_000;
/** Half of the time in which the store knows a batch again. */
const commitTimeoutMaxMs = 60_000;
/** Tries of what another process may come before us with. */
const triesMax = 5;

/** What a ledger is made of. */
export interface LedgerParts {
  readonly fleet: string;
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How long a commit without an answer is tried, a minute at most. */
  readonly commitTimeoutMs?: number | undefined;
  /** A ledger that is half restored may be led: only by who restores it. */
  readonly forRestore?: boolean;
}

/**
 * Opens the ledger that a store holds, and makes it if the store is new.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_CORRUPT`, `LEDGER_NEWER`, `LEDGER_FULL`
 */
export async function openStoreLedger(parts: LedgerParts): Promise<Ledger> {
  return new StoreLedger(parts, await findOrMint(parts));
}

/** The identity of the ledger; a new one if there is none yet. */
async function findOrMint(parts: LedgerParts): Promise<LedgerRecord> {
  const { fleet, store, random, clock } = parts;
  for (let tries = 0; tries < triesMax; tries++) {
    const found = await store.read(keys.ledger);
    const record = recordIn(fleet, ledgerRecordSchema, found);
    if (record !== undefined) return checked(record, parts);
    const ledgerId = mintLedgerId(clock.nowMs(), random.id());
    const body = JSON.stringify({ format: ledgerFormat, ledgerId });
    const expect = { key: keys.ledger, revision: found?.revision ?? 0 };
    const answer = await store.write({ writes: [{ key: keys.ledger, body, expect }] }, writeTimeoutMs);
    if (answer.kind === "full") throw refusal("LEDGER_FULL", { fleet, problem: answer.problem });
  }
  throw refusal("LEDGER_UNAVAILABLE", { fleet, problem: "its identity could not be written" });
}

/** @throws RollcallError `LEDGER_NEWER`, `LEDGER_HALF_RESTORED` */
function checked(record: LedgerRecord, { fleet, forRestore = false }: LedgerParts): LedgerRecord {
  const { format: found } = record;
  if (found > restoringFormat)
    throw refusal("LEDGER_NEWER", { fleet, key: keys.ledger, found, known: restoringFormat });
  if (found === restoringFormat && !forRestore) throw refusal("LEDGER_HALF_RESTORED", { fleet });
  return record;
}

class StoreLedger implements Ledger {
  readonly fleet: string;
  readonly #parts: LedgerParts;
  readonly #reader: LedgerReader;
  readonly #room: Room;
  readonly #watches = new Set<Subscription>();
  #record: LedgerRecord;
  #leadership: StoreLeadership | undefined;

  constructor(parts: LedgerParts, record: LedgerRecord) {
    const { store } = parts;
    this.fleet = parts.fleet;
    this.#parts = parts;
    this.#record = record;
    this.#reader = openLedgerReader(parts.bus, parts.fleet);
    this.#room = new Room(parts.fleet, { usage: () => store.usage(), tidy: () => store.dropHeldEvents() });
  }

  get ledgerId(): string {
    return this.#record.ledgerId;
  }

  get restoredFrom(): RestoredFrom | null {
    return this.#record.restoredFrom;
  }

  get(key: string): Promise<LedgerEntry | undefined> {
    return this.#reader.get(key);
  }

  watch(key: string, handle: (entry: LedgerEntry) => void): Subscription {
    const watch = this.#reader.watch(key, handle);
    this.#watches.add(watch);
    return {
      unsubscribe: () => {
        watch.unsubscribe();
        this.#watches.delete(watch);
      },
    };
  }

  async readAll(): Promise<LedgerEntry[]> {
    const leadership = this.#leadership;
    const snapshot = await this.#parts.store.scan();
    leadership?.loaded(snapshot);
    return snapshot.map((message) => entryOf(this.fleet, message));
  }

  follow(follower: LedgerFollower): Subscription {
    const watch = followLedger(this.#parts, follower);
    this.#watches.add(watch);
    return {
      unsubscribe: () => {
        watch.unsubscribe();
        this.#watches.delete(watch);
      },
    };
  }

  async lease(): Promise<LeaseHeld | undefined> {
    const { store } = this.#parts;
    const [lease, epoch] = await Promise.all([store.read(keys.lease), store.read(keys.epoch)]);
    return this.#held(lease, epoch);
  }

  async acquire({ holder, leaseMs }: { holder: string; leaseMs: number }): Promise<Leadership | LeaseHeld> {
    const { store, clock, random } = this.#parts;
    const ttlMs = Math.max(1_000, Math.ceil(leaseMs / 1_000) * 1_000);
    for (let tries = 0; tries < triesMax; tries++) {
      // Who cannot read what stands there leads nobody; and the identity may be another since a restore.
      const [lease, epoch, ledger] = await Promise.all([
        store.read(keys.lease),
        store.read(keys.epoch),
        findOrMint(this.#parts),
      ]);
      const held = this.#held(lease, epoch);
      if (held !== undefined && held.heldBy !== holder) return held;
      this.#record = ledger;
      const last = recordIn(this.fleet, claimRecordSchema, epoch)?.epoch ?? 0;
      const record = { holder, epoch: last + 1, claim: random.id() };
      const askedAtMs = clock.monotonicMs();
      const body = JSON.stringify(record);
      const answer = await store.write(
        {
          writes: [
            { key: keys.lease, body, ttlMs, expect: { key: keys.lease, revision: lease?.revision ?? 0 } },
            { key: keys.epoch, body, expect: { key: keys.epoch, revision: epoch?.revision ?? 0 } },
          ],
        },
        writeTimeoutMs,
      );
      if (answer.kind === "full") {
        throw refusal("LEDGER_FULL", { fleet: this.fleet, problem: answer.problem });
      }
      if (answer.kind === "refused") throw this.#unavailable(answer.problem);
      if (answer.kind === "stored" || answer.kind === "unanswered") {
        const answeredAtMs = clock.monotonicMs();
        const leadership = await this.#lead(record, { leaseMs, askedAtMs, answeredAtMs });
        if (leadership !== undefined) return leadership;
      }
      if (answer.kind === "unanswered") throw this.#unavailable(answer.problem);
    }
    throw this.#unavailable("others took the lease again and again");
  }

  close(): Promise<void> {
    for (const watch of this.#watches) watch.unsubscribe();
    this.#watches.clear();
    return Promise.resolve();
  }

  /** What a new leader must know, read after it alone may write; `undefined` if the lease was not taken after all. */
  async #lead(
    record: ClaimRecord,
    { leaseMs, askedAtMs, answeredAtMs }: { leaseMs: number; askedAtMs: number; answeredAtMs: number },
  ): Promise<StoreLeadership | undefined> {
    const { store, clock, log } = this.#parts;
    const [lease, epoch, head] = await Promise.all([
      store.read(keys.lease),
      store.read(keys.epoch),
      store.read(keys.eventHead),
    ]);
    const isOurs = (found: StoredMessage | undefined): found is StoredMessage =>
      recordIn(this.fleet, claimRecordSchema, found)?.claim === record.claim;
    if (!isOurs(lease) || !isOurs(epoch)) return undefined;
    const { ledgerId } = this.#record;
    this.#room.forget();
    const announce = (revision: number, value?: ClaimRecord) => this.#announce(revision, value);
    this.#leadership = new StoreLeadership({
      fleet: this.fleet,
      ledgerId,
      store,
      clock,
      log,
      room: this.#room,
      commitTimeoutMs: Math.min(this.#parts.commitTimeoutMs ?? defaultCommitTimeoutMs, commitTimeoutMaxMs),
      lease: new Lease({
        fleet: this.fleet,
        store,
        clock,
        log,
        record,
        leaseMs,
        revision: lease.revision,
        askedAtMs,
        announce,
      }),
      epochRevision: epoch.revision,
      head: headIn(this.fleet, ledgerId, head),
      ledgerTime: { ledgerMs: epoch.writtenAtMs, monotonicMs: answeredAtMs },
    });
    announce(lease.revision, record);
    return this.#leadership;
  }

  #held(lease: StoredMessage | undefined, epoch: StoredMessage | undefined): LeaseHeld | undefined {
    const record = recordIn(this.fleet, claimRecordSchema, lease);
    if (lease === undefined || record === undefined) return undefined;
    const isSame = recordIn(this.fleet, claimRecordSchema, epoch)?.claim === record.claim;
    const since = isSame && epoch !== undefined ? epoch.writtenAtMs : lease.writtenAtMs;
    return { heldBy: record.holder, since, renewedAtMs: lease.writtenAtMs, epoch: record.epoch };
  }

  /** A hint to followers, who ask for the lease now and then in any case. */
  #announce(revision: number, value: ClaimRecord | undefined): void {
    this.#parts.bus.publish(
      subjectsOf(this.fleet).desired(keys.lease),
      value === undefined ? "" : JSON.stringify(value),
      {
        "Nats-Sequence": String(revision),
        "Nats-Subject": subjectOfKey(this.fleet, keys.lease),
        "Nats-Time-Stamp": new Date(this.#parts.clock.nowMs()).toISOString(),
        ...(value === undefined ? { "KV-Operation": "DEL" } : {}),
      },
    );
  }

  #unavailable(problem: string): Error {
    return refusal("LEDGER_UNAVAILABLE", { fleet: this.fleet, problem });
  }
}
