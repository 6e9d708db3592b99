import type { Clock, Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import { type ClaimRecord, claimRecordSchema } from "../contracts/ledger-records.js";
import { recordIn } from "./records.js";
import type { Store, StoreWrite } from "./store.js";

/** A leader stops this long before the store could give the lease to another: clocks drift, and stopping takes time. */
const marginMaxMs = 500;
const marginShare = 1 / 10;
/** What a farewell may take, twice at most. */
const giveBackTimeoutMs = 2_000;
/** What a lease that was given back leaves behind is of no use to anybody after this time. */
const givenBackTtlMs = 3_600_000;

/** What a lease is made of. */
export interface LeaseParts {
  readonly fleet: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** What stands under the key. */
  readonly record: ClaimRecord;
  readonly leaseMs: number;
  /** The revision of the key. */
  readonly revision: number;
  /** The monotonic clock before the lease was asked for. */
  readonly askedAtMs: number;
  /** Tells followers that the lease is free. */
  readonly announce: (revision: number) => void;
}

/** The lease of a leader: renewed by its revision, given back, or lost. */
export class Lease {
  readonly #parts: LeaseParts;
  #revision: number;
  #askedAtMs: number;
  /** When the earliest renewal was sent of those that may have been stored without us knowing. */
  #unansweredAtMs: number | undefined;
  /** The epoch that took over, as far as known; undefined while the lease is ours. */
  #lostTo: number | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: LeaseParts) {
    this.#parts = parts;
    this.#revision = parts.revision;
    this.#askedAtMs = parts.askedAtMs;
  }

  get holder(): string {
    return this.#parts.record.holder;
  }

  get epoch(): number {
    return this.#parts.record.epoch;
  }

  /** The end of the lease in the time of the monotonic clock, with a margin; 0 once it is known to be lost. */
  get validUntilMs(): number {
    const { leaseMs } = this.#parts;
    if (this.#lostTo !== undefined) return 0;
    return this.#askedAtMs + leaseMs - Math.min(marginMaxMs, leaseMs * marginShare);
  }

  /** @throws RollcallError `DEPOSED` */
  assertHeld(): void {
    if (this.#lostTo !== undefined) throw this.#deposed(this.#lostTo);
  }

  /** Notes that another epoch began. @returns the error for whoever tried to write */
  lost(epoch: number | undefined): Error {
    this.#lostTo ??= epoch ?? this.epoch;
    return this.#deposed(this.#lostTo);
  }

  /** Prolongs it by its whole time. @throws RollcallError `DEPOSED`, `LEDGER_UNAVAILABLE` */
  renew(): Promise<void> {
    return this.#inTurn(() => this.#renew());
  }

  /** Lets another have it at once. */
  giveBack(): Promise<void> {
    return this.#inTurn(() => this.#giveBack());
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #renew(): Promise<void> {
    this.assertHeld();
    const { store, clock, leaseMs, fleet } = this.#parts;
    const askedAtMs = clock.monotonicMs();
    const answer = await store.write({ writes: [this.#renewal()] }, leaseMs / 4);
    switch (answer.kind) {
      case "stored":
        return this.#renewed(answer.revision, askedAtMs);
      case "conflict":
        return await this.#adopt();
      case "unanswered":
        this.#unansweredAtMs ??= askedAtMs;
    }
    const problem = "problem" in answer ? answer.problem : answer.kind;
    throw refusal("LEDGER_UNAVAILABLE", { fleet, problem: `the lease was not renewed: ${problem}` });
  }

  #renewal(): StoreWrite {
    const { record, leaseMs } = this.#parts;
    return {
      key: keys.lease,
      body: JSON.stringify(record),
      ttlMs: leaseMs,
      expect: { key: keys.lease, revision: this.#revision },
    };
  }

  /** A renewal was refused: either the answer to an earlier one was lost, or the lease is no longer ours. */
  async #adopt(): Promise<void> {
    const { store, fleet, record } = this.#parts;
    const found = await store.read(keys.lease);
    const standing = recordIn(fleet, claimRecordSchema, found);
    if (found !== undefined && standing?.claim === record.claim && this.#unansweredAtMs !== undefined) {
      this.#renewed(found.revision, this.#unansweredAtMs);
      return;
    }
    const epoch = recordIn(fleet, claimRecordSchema, await store.read(keys.epoch))?.epoch;
    throw this.lost(epoch);
  }

  #renewed(revision: number, askedAtMs: number): void {
    this.#revision = revision;
    this.#askedAtMs = Math.max(this.#askedAtMs, askedAtMs);
    this.#unansweredAtMs = undefined;
  }

  async #giveBack(): Promise<void> {
    const { store, leaseMs, log, fleet } = this.#parts;
    if (this.#lostTo !== undefined) return;
    for (let tries = 0; tries < 2; tries++) {
      const expect = { key: keys.lease, revision: this.#revision };
      const answer = await store.write(
        { writes: [{ key: keys.lease, body: "", deleted: true, ttlMs: givenBackTtlMs, expect }] },
        Math.min(leaseMs, giveBackTimeoutMs),
      );
      if (answer.kind === "stored") {
        this.lost(this.epoch);
        this.#parts.announce(answer.revision);
        return;
      }
      const adopted =
        answer.kind === "conflict" &&
        (await this.#adopt().then(
          () => true,
          () => false,
        ));
      if (!adopted) break;
    }
    this.lost(this.epoch);
    log.debug({ fleet, epoch: this.epoch }, "the lease could not be given back; it ends by itself");
  }

  #deposed(epoch: number): Error {
    return refusal("DEPOSED", { fleet: this.#parts.fleet, epoch });
  }
}
