import { assert } from "../base/assert.js";
import type { Clock, Leadership, LedgerBatch, Log } from "../base/ports.js";
import { batchMessagesMax } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { keys } from "../contracts/keys.js";
import { claimRecordSchema, headRecordSchema } from "../contracts/ledger-records.js";
import type { ChainHead, NewEvent } from "./event-chain.js";
import { emptyChain, sealEvents } from "./event-chain.js";
import type { Lease } from "./lease.js";
import { recordIn } from "./records.js";
import type { Room } from "./room.js";
import type { Store, StoreBatch, StoredMessage, StoreWrite } from "./store.js";
import { sizeOf } from "./store.js";

/** How long one try of a batch waits for its answer. */
const tryTimeoutMs = 5_000;
/** How long a batch is tried at all, unless told: well within the store's window of two minutes for repeats. */
export const defaultCommitTimeoutMs = 20_000;
/** Between two tries that the store was too busy for. */
const pauseMs = 25;
/** What a deleted key leaves behind is of no use to anybody after this time. */
const deletionTtlMs = 3_600_000;
/** Events in the bucket that are worth a call to remove them. */
const heldEventsMax = 256;

/** The end of the audit log, and the revision under which the store holds it. */
export interface HeadAt {
  readonly head: ChainHead;
  readonly revision: number;
}

/** What a leadership is made of. */
export interface LeadershipParts {
  readonly fleet: string;
  readonly ledgerId: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly room: Room;
  readonly lease: Lease;
  readonly commitTimeoutMs: number;
  /** The revision of the key `epoch` by which every write is fenced. */
  readonly epochRevision: number;
  readonly head: HeadAt;
  /** Ledger time at a moment of the monotonic clock. */
  readonly ledgerTime: { readonly ledgerMs: number; readonly monotonicMs: number };
}

/** A batch as text, before it has its place in the chain. */
interface Prepared {
  readonly events: readonly NewEvent[];
  readonly writes: readonly StoreWrite[];
  readonly onlyRemoves: boolean;
}

/** The right to write, by the rules of `docs/design.md`: fenced by the epoch, chained batch to batch, one at a time. */
export class StoreLeadership implements Leadership {
  readonly #parts: LeadershipParts;
  /** Undefined while it is not known what was written last. */
  #head: HeadAt | undefined;
  /** The end of everything that was committed so far. */
  #turn: Promise<unknown> = Promise.resolve();
  #heldEvents = heldEventsMax;
  #batches = 0;

  constructor(parts: LeadershipParts) {
    this.#parts = parts;
    this.#head = parts.head;
  }

  get epoch(): number {
    return this.#parts.lease.epoch;
  }

  get holder(): string {
    return this.#parts.lease.holder;
  }

  ledgerNowMs(): number {
    const { ledgerMs, monotonicMs } = this.#parts.ledgerTime;
    return ledgerMs + this.#parts.clock.monotonicMs() - monotonicMs;
  }

  validUntilMs(): number {
    return this.#parts.lease.validUntilMs;
  }

  renew(): Promise<void> {
    return this.#parts.lease.renew();
  }

  async commit(batch: LedgerBatch): Promise<{ readonly revisions: ReadonlyMap<string, number> }> {
    const count = batch.events.length + batch.puts.length + batch.deletes.length;
    if (count > batchMessagesMax) throw refusal("BATCH_TOO_LARGE", { count, max: batchMessagesMax });
    const prepared = this.#prepare(batch);
    return await this.#inTurn(() => this.#commit(prepared));
  }

  resign(): Promise<void> {
    return this.#parts.lease.giveBack();
  }

  /** The state was loaded anew: from here on batches follow what was read. */
  loaded(snapshot: readonly StoredMessage[]): void {
    const { fleet, ledgerId, epochRevision, lease } = this.#parts;
    if (this.#head !== undefined) return;
    const epoch = snapshot.find(({ key }) => key === keys.epoch);
    if (epoch?.revision !== epochRevision) {
      lease.lost(recordIn(fleet, claimRecordSchema, epoch)?.epoch);
      return;
    }
    this.#head = headIn(
      fleet,
      ledgerId,
      snapshot.find(({ key }) => key === keys.eventHead),
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** As text, now: what the caller changes afterwards is not written. */
  #prepare({ events, puts, deletes }: LedgerBatch): Prepared {
    const prepared = {
      events: events.map(({ kind, id, type, data, actor, cause, generation }) => {
        const body = jsonOf(type, data);
        return { kind, id, type, body, actor, cause, generation };
      }),
      writes: [
        ...puts.map(({ key, value }) => ({ key, body: jsonOf(key, value) })),
        ...deletes.map((key) => ({ key, body: "", deleted: true, ttlMs: deletionTtlMs })),
      ],
      onlyRemoves: puts.length === 0,
    };
    assert(
      new Set(prepared.writes.map(({ key }) => key)).size === prepared.writes.length,
      "a batch writes every key once",
    );
    const maxBytes = this.#parts.store.messageMaxBytes;
    for (const { body } of [...prepared.events, ...prepared.writes]) {
      // A character takes at most three bytes of UTF-8: most values need no counting.
      const sizeBytes = body.length * 3 <= maxBytes ? 0 : Buffer.byteLength(body);
      if (sizeBytes > maxBytes) throw refusal("PAYLOAD_TOO_LARGE", { sizeBytes, maxBytes });
    }
    return prepared;
  }

  async #commit(prepared: Prepared): Promise<{ readonly revisions: ReadonlyMap<string, number> }> {
    const { lease, room } = this.#parts;
    lease.assertHeld();
    const at = this.#head;
    if (at === undefined)
      throw this.#unavailable("what was written last is not known, and was not loaded anew");
    const { batch, head } = this.#seal(prepared, at);
    await room.take(sizeOf(batch), prepared);
    const revision = await this.#write(batch, head);
    this.#head = { head, revision };
    this.#countEvents(prepared.events.length);
    return { revisions: revisionsOf(batch, revision) };
  }

  #seal(prepared: Prepared, at: HeadAt): { readonly batch: StoreBatch; readonly head: ChainHead } {
    const { fleet, ledgerId, epochRevision } = this.#parts;
    const context = { fleet, ledgerId, epoch: this.epoch, nowMs: this.ledgerNowMs() };
    const sealed = sealEvents(at.head, prepared.events, context);
    const [first, ...events] = sealed.writes;
    assert(first !== undefined, "a batch has an event");
    const expectHead = { key: keys.eventHead, revision: at.revision };
    const writes: [StoreWrite, ...StoreWrite[]] = [
      { ...first, expect: { key: keys.epoch, revision: epochRevision } },
      ...events,
      ...prepared.writes,
      { key: keys.eventHead, body: JSON.stringify(sealed.head), expect: expectHead },
    ];
    const messageId = `${ledgerId}-${this.epoch}-${++this.#batches}`;
    return { batch: { writes, messageId }, head: sealed.head };
  }

  /** @returns the revision of the last message */
  async #write(batch: StoreBatch, head: ChainHead): Promise<number> {
    const { store, clock, fleet, room, commitTimeoutMs } = this.#parts;
    const untilMs = clock.monotonicMs() + commitTimeoutMs;
    let mayComeLater = false;
    for (;;) {
      const leftMs = untilMs - clock.monotonicMs();
      const answer = await store.write(batch, Math.max(1, Math.min(tryTimeoutMs, leftMs)));
      switch (answer.kind) {
        case "stored":
          return answer.revision;
        case "duplicate":
          return (await this.#revisionOf(batch)) ?? (await this.#findOut(head));
        case "conflict":
          return await this.#findOut(head);
        case "full":
          room.forget();
          if (mayComeLater) throw this.#lostTrack(answer.problem);
          throw refusal("LEDGER_FULL", { fleet, problem: answer.problem });
        case "refused":
          throw mayComeLater ? this.#lostTrack(answer.problem) : this.#unavailable(answer.problem);
        case "again":
          await pause(clock, pauseMs);
          break;
        case "unanswered":
          mayComeLater = true;
          await pause(clock, pauseMs);
          await store.reachable(Math.max(0, untilMs - clock.monotonicMs()));
      }
      if (clock.monotonicMs() >= untilMs) throw this.#lostTrack(answer.problem);
    }
  }

  /** Of the last message of a batch that was written; `undefined` once its event was moved to the audit stream. */
  async #revisionOf(batch: StoreBatch): Promise<number | undefined> {
    try {
      const first = await this.#parts.store.read(batch.writes[0].key);
      return first === undefined ? undefined : first.revision + batch.writes.length - 1;
    } catch (thrown) {
      throw this.#lostTrack("it is written, but could not be read again", thrown);
    }
  }

  /** What became of a batch that the store says it has already, or that something else came before. */
  async #findOut(head: ChainHead): Promise<number> {
    const { store, fleet, epochRevision, ledgerId, lease } = this.#parts;
    let epoch: StoredMessage | undefined;
    let end: StoredMessage | undefined;
    try {
      [epoch, end] = await Promise.all([store.read(keys.epoch), store.read(keys.eventHead)]);
    } catch (thrown) {
      throw this.#lostTrack("its outcome could not be read", thrown);
    }
    const at = headIn(fleet, ledgerId, end);
    if (at.head.hash === head.hash) return at.revision;
    if (epoch?.revision !== epochRevision) {
      throw lease.lost(recordIn(fleet, claimRecordSchema, epoch)?.epoch);
    }
    throw this.#lostTrack("an earlier batch was written later than its answer was waited for");
  }

  #countEvents(count: number): void {
    this.#heldEvents += count;
    if (this.#heldEvents < heldEventsMax) return;
    this.#heldEvents = 0;
    const { store, log, fleet } = this.#parts;
    store.dropHeldEvents().catch((thrown: unknown) => {
      // The next batches try again; until then the events take room in the bucket.
      this.#heldEvents = heldEventsMax;
      log.debug(
        { fleet, problem: String(thrown) },
        "the events that the audit stream holds were not removed yet",
      );
    });
  }

  #lostTrack(problem: string, cause?: unknown): Error {
    this.#head = undefined;
    return this.#unavailable(problem, cause);
  }

  #unavailable(problem: string, cause?: unknown): Error {
    return refusal("LEDGER_UNAVAILABLE", { fleet: this.#parts.fleet, problem }, cause);
  }
}

/** The end of the audit log in a message; that of an empty log if there is none. */
export function headIn(fleet: string, ledgerId: string, message: StoredMessage | undefined): HeadAt {
  return {
    head: recordIn(fleet, headRecordSchema, message) ?? emptyChain(ledgerId),
    revision: message?.revision ?? 0,
  };
}

function jsonOf(key: string, value: unknown): string {
  const body = JSON.stringify(value);
  assert(body !== undefined, () => `the value of ${key} can be written as JSON`);
  return body;
}

function revisionsOf(batch: StoreBatch, lastRevision: number): Map<string, number> {
  const before = lastRevision - batch.writes.length;
  return new Map(batch.writes.map(({ key }, index) => [key, before + index + 1]));
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}
