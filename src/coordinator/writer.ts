import type { Clock, Leadership, LedgerBatch } from "../base/ports.js";
import { batchMessagesMax } from "../base/ports.js";
import type { FleetEvent } from "../contracts/event-types.js";

/** A record to be written, as the program works with it. */
export interface Put {
  readonly key: string;
  readonly value: unknown;
  /** The newest format that whoever it is for reads; any if left out. */
  readonly formatMax?: number;
}

/** What one decision writes, and the events that explain it; committed whole, in the order of the decisions. */
export interface Unit {
  readonly puts?: readonly Put[];
  readonly deletes?: readonly string[];
  readonly events: readonly [FleetEvent, ...FleetEvent[]];
  /** How many instances it is about; 0 if left out. */
  readonly instances?: number;
}

interface Waiting {
  readonly unit: Unit;
  readonly size: number;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Room that a batch keeps for what the ledger itself adds, the head of the event chain among it. */
const batchReserve = 8;
const batchMax = batchMessagesMax - batchReserve;
/** Instances in one batch: what concerns more is written in chunks, each valid by itself. */
const batchInstancesMax = 300;
/** For how long units may gather while actors still have events to handle. */
const gatherMs = 5;

export interface WriterParts {
  readonly leadership: Leadership;
  readonly clock: Clock;
  /** What stands in the ledger for a record. */
  readonly toStore: (key: string, record: unknown, formatMax?: number) => unknown;
  /** True while actors have events to handle, whose decisions may join the batch. */
  readonly isBusy: () => boolean;
  /** Told of each batch before it is written, with its records as the program works with them, and after, unless it is closed by then. */
  readonly onWriting: (puts: readonly Put[], deletes: readonly string[]) => void;
  readonly onWritten: (revision: number) => void;
  readonly onFailed: (error: unknown) => void;
}

/**
 * The one writer of a leader: gathers what is decided in one go, so that a report, the decision that follows and the
 * desired states of the next batch are one atomic batch, and has at most one under way. A unit that cannot be
 * written ends this writer: nothing later may overtake it.
 */
export class Writer {
  readonly #leadership: Leadership;
  readonly #clock: Clock;
  readonly #toStore: WriterParts["toStore"];
  /** True while actors have events to handle, whose decisions may join the batch. */
  readonly #isBusy: () => boolean;
  readonly #onWriting: WriterParts["onWriting"];
  readonly #onWritten: WriterParts["onWritten"];
  readonly #onFailed: (error: unknown) => void;
  #queue: Waiting[] = [];
  #running = false;
  #failure: unknown;
  #last: Promise<void> = Promise.resolve();
  #revision = 0;

  constructor(parts: WriterParts) {
    this.#leadership = parts.leadership;
    this.#clock = parts.clock;
    this.#toStore = parts.toStore;
    this.#isBusy = parts.isBusy;
    this.#onWriting = parts.onWriting;
    this.#onWritten = parts.onWritten;
    this.#onFailed = parts.onFailed;
  }

  /** Resolves once the unit is durable. @throws what the ledger said, for this and every later unit */
  add(unit: Unit): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const size = (unit.puts?.length ?? 0) + (unit.deletes?.length ?? 0) + unit.events.length;
    this.#last = new Promise((done, failed) => {
      this.#queue.push({ unit, size, done, failed });
      if (!this.#running) {
        this.#running = true;
        this.#gather(this.#clock.monotonicMs());
      }
    });
    return this.#last;
  }

  /** Resolves once everything that was added so far is durable. @throws what the ledger said */
  flushed(): Promise<void> {
    return this.#failure === undefined ? this.#last : Promise.reject(this.#failure);
  }

  /** Of the newest that this writer has written; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  /** Refuses everything from now on, what is queued included. */
  close(reason: unknown): void {
    this.#failure ??= reason;
    const waiting = this.#queue;
    this.#queue = [];
    for (const { failed } of waiting) failed(reason);
  }

  #gather(sinceMs: number): void {
    this.#clock.setTimer(0, () => {
      if (this.#isBusy() && this.#clock.monotonicMs() - sinceMs < gatherMs) this.#gather(sinceMs);
      else void this.#write();
    });
  }

  async #write(): Promise<void> {
    while (this.#failure === undefined) {
      const [first, ...rest] = this.#take();
      if (first === undefined) break;
      const batch = [first, ...rest] as const;
      try {
        const { revisions } = await this.#leadership.commit(this.#batchOf(batch));
        const revision = Math.max(...revisions.values());
        // Once it is closed somebody else may have written since, and told so: an answer may come that late.
        if (this.#failure === undefined) this.#onWritten(revision);
        this.#revision = Math.max(this.#revision, revision);
        for (const { done } of batch) done();
      } catch (error) {
        this.#failure ??= error;
        for (const { failed } of batch) failed(error);
        this.close(error);
        this.#onFailed(error);
      }
    }
    this.#running = false;
  }

  #take(): Waiting[] {
    let size = 0;
    let instances = 0;
    const end = this.#queue.findIndex((waiting) => {
      size += waiting.size;
      instances += waiting.unit.instances ?? 0;
      return size > batchMax || instances > batchInstancesMax;
    });
    // A single unit that is too large goes alone, and the ledger says so.
    return this.#queue.splice(0, end < 0 ? this.#queue.length : Math.max(1, end));
  }

  #batchOf([first, ...rest]: readonly [Waiting, ...Waiting[]]): LedgerBatch {
    // Within a batch the last write of a key wins.
    const changes = new Map<string, Put | undefined>();
    for (const { unit } of [first, ...rest]) {
      for (const put of unit.puts ?? []) changes.set(put.key, put);
      for (const key of unit.deletes ?? []) changes.set(key, undefined);
    }
    const written = [...changes.values()].filter((put) => put !== undefined);
    const deletes = [...changes].filter(([, put]) => put === undefined).map(([key]) => key);
    this.#onWriting(written, deletes);
    const puts = written.map(({ key, value, formatMax }) => ({
      key,
      value: this.#toStore(key, value, formatMax),
    }));
    const events = [...first.unit.events, ...rest.flatMap(({ unit }) => unit.events)] as const;
    return { events, puts, deletes };
  }
}
