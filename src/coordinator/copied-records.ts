import type { Ledger, LedgerEntry } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import { claimRecordSchema, ledgerFormat, ledgerRecordSchema } from "../contracts/ledger-records.js";
import type { Formats } from "../contracts/record-formats.js";
import { type FleetRecord, fleetRecordIn } from "./fleet-records.js";

/** Who holds the lease. */
export interface CopiedLease {
  readonly holder: string;
  readonly epoch: number;
  /** When it was last renewed, in ledger time. */
  readonly renewedAtMs: number;
}

type LedgerIdentity = Pick<Ledger, "ledgerId" | "restoredFrom">;

/** A change of a record: what it is now, or that it is no more. */
export interface CopiedChange {
  readonly key: string;
  readonly revision: number;
  readonly found: FleetRecord | undefined;
}

/**
 * The records of a fleet as its ledger tells them, a batch at a time: what was written together is seen together. A lease
 * or an epoch is taken at once.
 */
export class CopiedRecords {
  readonly #fleet: string;
  readonly #known: Formats;
  readonly #onBatch: (changes: readonly CopiedChange[]) => void;
  #ledger: LedgerIdentity = { ledgerId: "", restoredFrom: null };
  #revision = 0;
  #lease: CopiedLease | undefined;
  #epoch = 0;
  #batch: CopiedChange[] = [];

  constructor(parts: {
    fleet: string;
    known: Formats;
    /** What has changed, by records: each once, the newest. */
    onBatch: (changes: readonly CopiedChange[]) => void;
  }) {
    this.#fleet = parts.fleet;
    this.#known = parts.known;
    this.#onBatch = parts.onBatch;
  }

  get ledger(): LedgerIdentity {
    return this.#ledger;
  }

  /** Everything up to here is seen. */
  get revision(): number {
    return this.#revision;
  }

  get lease(): CopiedLease | undefined {
    return this.#lease;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** @throws RollcallError `LEDGER_CORRUPT`, `LEDGER_NEWER`, `LEDGER_UNAVAILABLE` it is being restored */
  take(entry: LedgerEntry): void {
    const { key, revision } = entry;
    if (key === keys.eventHead) this.endBatch(revision);
    else if (this.#takeOwn(entry)) this.#advance(revision);
    else {
      const place = { fleet: this.#fleet, known: this.#known };
      const found = entry.value === undefined ? undefined : fleetRecordIn(place, entry);
      this.#batch.push({ key, revision, found });
    }
  }

  /** What came so far is whole. */
  endBatch(revision = this.#batch.at(-1)?.revision ?? this.#revision): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#advance(revision);
    if (batch.length > 0) this.#onBatch(batch);
  }

  #advance(revision: number): void {
    if (this.#batch.length === 0) this.#revision = Math.max(this.#revision, revision);
  }

  /** What the ledger keeps of itself. */
  #takeOwn({ key, value, writtenAtMs }: LedgerEntry): boolean {
    if (key === keys.lease) {
      const claim = claimRecordSchema.safeParse(value);
      this.#lease = claim.success ? { ...claim.data, renewedAtMs: writtenAtMs } : undefined;
    } else if (key === keys.epoch)
      this.#epoch = claimRecordSchema.safeParse(value).data?.epoch ?? this.#epoch;
    else if (key === keys.ledger) this.#ledger = this.#identityIn(value);
    else return false;
    return true;
  }

  #identityIn(value: unknown): LedgerIdentity {
    const read = ledgerRecordSchema.safeParse(value);
    if (read.success && read.data.format === ledgerFormat) return read.data;
    throw refusal("LEDGER_UNAVAILABLE", { fleet: this.#fleet, problem: "it is being restored" });
  }
}
