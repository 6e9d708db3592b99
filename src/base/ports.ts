/**
 * What the core asks of the world: time, randomness, messages, durable state, files. Production,
 * tests and simulator run the same code over different implementations of these. (The ports that
 * only an agent has, processes, probes and release files, stand in `agent/ports.ts`.)
 */

import type { RollcallError } from "./errors.js";

/** A timer that was set; `cancel` may be called at any time, any number of times. */
export interface Timer {
  cancel(): void;
}

/** Time. All values are milliseconds. */
export interface Clock {
  /** Wall-clock time since the Unix epoch. May jump; for people to read, never for a deadline. */
  nowMs(): number;
  /** Time since an arbitrary start. Never goes back; for everything that is measured. */
  monotonicMs(): number;
  /** Calls `fire` once, `delayMs` from now (0: in a later turn of the loop), never synchronously. */
  setTimer(delayMs: number, fire: () => void): Timer;
}

/** Randomness, seeded in tests. */
export interface Random {
  /** A new unique id of 22 characters out of `[A-Za-z0-9]`. */
  id(): string;
  /** A number in [0, 1). */
  unit(): number;
}

/** Structured logging, the shape of pino's methods. Never the standard output of a command. */
export interface Log {
  debug(facts: object, sentence: string): void;
  info(facts: object, sentence: string): void;
  warn(facts: object, sentence: string): void;
  error(facts: object, sentence: string): void;
  child(facts: object): Log;
}

/** A message as it arrived. */
export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** The first value of a header, by its exact name. */
  header(name: string): string | undefined;
  /** True if the sender waits for an answer. */
  readonly expectsReply: boolean;
  /** Answers the sender; without effect if it does not wait. */
  respond(data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void;
}

export interface Subscription {
  unsubscribe(): void;
}

/** Whether messages flow now. `reconnected` follows every `disconnected`, unless the bus is closed. */
export type BusStatus = "disconnected" | "reconnected" | "closed";

/**
 * Messages between processes: at most once, unordered between subjects, lost without an error while
 * disconnected. Everything built on it carries state, never a change, and says it again.
 */
export interface Bus {
  /** Sends to whoever listens now. */
  publish(subject: string, data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void;
  /**
   * Calls `handle` for every message whose subject matches (`*` one token, `>` the rest). Within one
   * `queue` only one subscriber gets each message. What `handle` throws is logged and counted, never fatal.
   */
  subscribe(
    subject: string,
    handle: (message: BusMessage) => void,
    options?: { queue?: string },
  ): Subscription;
  /**
   * Sends and waits for the first answer.
   * @throws RollcallError `NO_RESPONDERS` when nobody listens, `REQUEST_TIMEOUT` when nobody answered in time
   */
  request(
    subject: string,
    data: Uint8Array | string,
    options: { timeoutMs: number; headers?: Readonly<Record<string, string>> },
  ): Promise<BusMessage>;
  /**
   * Sends and collects all answers until `timeoutMs`, `max` of them, or one of which `isLast` says so (it is among them).
   * Nobody listening is an empty list.
   */
  requestMany(
    subject: string,
    data: Uint8Array | string,
    options: { timeoutMs: number; max: number; isLast?: (answer: BusMessage) => boolean },
  ): Promise<BusMessage[]>;
  /** Resolves when everything sent and subscribed so far has reached the server. */
  flush(): Promise<void>;
  onStatus(listener: (status: BusStatus) => void): Subscription;
  close(): Promise<void>;
}

/** One key of the ledger. `value` is what was written, parsed from JSON; `undefined` for a deleted key. */
export interface LedgerEntry {
  readonly key: string;
  readonly value: unknown;
  /** Grows with every write to this ledger; orders writes of one `ledgerId`. */
  readonly revision: number;
  /** When the ledger stored it, in ledger time (epoch milliseconds). */
  readonly writtenAtMs: number;
}

/** An event of the audit log, written in the same batch as the records that it explains. */
export interface LedgerEvent {
  /** The kind and id of the object that it is about, `deployment`, `d1`. */
  readonly kind: string;
  readonly id: string;
  /** What happened, `deployment.batch.started`. */
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Who asked for it or brought it about, `user:alice`; what forms there are says `contracts/origin.ts`. */
  readonly actor: string;
  /** What led to it, `request:<key>`. */
  readonly cause: string;
  /** Of what is asked of the object, where it has one. */
  readonly generation?: number;
}

/** What is committed together or not at all. */
export interface LedgerBatch {
  /** At least one: the first carries the fence and the id under which a repeat is recognised. */
  readonly events: readonly [LedgerEvent, ...LedgerEvent[]];
  readonly puts: readonly { readonly key: string; readonly value: unknown }[];
  readonly deletes: readonly string[];
}

/**
 * Events, puts and deletes in one batch. JetStream's own limit is 1,000 messages; one is the end of the audit
 * log's chain, which is written with every batch.
 */
export const batchMessagesMax = 999;

/** What every process may see of a ledger, agents included; reads may be a little stale. */
export interface LedgerReader {
  /** The newest known entry, `undefined` if the key was never written or was deleted. @throws RollcallError `LEDGER_UNAVAILABLE` */
  get(key: string): Promise<LedgerEntry | undefined>;
  /**
   * Calls `handle` with what is written to `key` from now on (a trailing `>` watches all keys below),
   * at most once each, without what was written before: subscribe first, then `get`, and `get` again after a reconnect.
   * Only keys below `desired.` can be watched, and `lease`: its holder announces that it took it or gave it back.
   */
  watch(key: string, handle: (entry: LedgerEntry) => void): Subscription;
}

/** Why leadership was not taken: who holds it. */
export interface LeaseHeld {
  readonly heldBy: string;
  /** When it was taken, in ledger time (epoch milliseconds). */
  readonly since: number;
  /** When it was last renewed, in ledger time. */
  readonly renewedAtMs: number;
  readonly epoch: number;
}

/**
 * What somebody who keeps a copy of a ledger is told: `began`, all of it, `inStep`, then each change. It begins anew by itself
 * after a gap, a reconnect, or when another ledger stands there.
 */
export interface LedgerFollower {
  /** What comes next is the whole ledger; what came before counts no more once `inStep` follows. */
  began(): void;
  /** The newest of a key, in the order of revisions; `value` is `undefined` for a deleted one. */
  entry(entry: LedgerEntry): void;
  /** Everything that the ledger had a moment ago has been told. Said again every second or two while it is so. */
  inStep(): void;
  /** It cannot be followed now, and is tried again: it cannot be reached, or holds what is no JSON. */
  failed(problem: RollcallError): void;
}

/** The backup that a ledger was restored from. */
export interface RestoredFrom {
  readonly ledgerId: string;
  readonly revision: number;
  /** When the backup was taken, epoch milliseconds. */
  readonly takenAtMs: number;
}

/** The durable record of a fleet: keys, audit events, and who may write them. */
export interface Ledger extends LedgerReader {
  readonly fleet: string;
  /** Minted with the ledger and anew by a restore: revisions compare only within one `ledgerId`. */
  readonly ledgerId: string;
  /** `null` for a ledger that began empty. */
  readonly restoredFrom: RestoredFrom | null;
  /**
   * Every key but events, exactly as of one revision and never stale.
   * @throws RollcallError `LEDGER_UNAVAILABLE`
   */
  readAll(): Promise<LedgerEntry[]>;
  /**
   * Takes the lease and a new epoch in one batch, or says who has it. A holder takes it from itself at once: give every
   * process a holder of its own.
   * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `LEDGER_CORRUPT`
   */
  acquire(claim: { holder: string; leaseMs: number }): Promise<Leadership | LeaseHeld>;
  /**
   * Tells of every key but events and desired states, from now on: first all that there is, then what changes. Of a key that
   * is written faster than this can be told only the newest may come. A batch ends with the key `event-head`.
   */
  follow(follower: LedgerFollower): Subscription;
  /** The lease as it stands, to follow it. @throws RollcallError `LEDGER_UNAVAILABLE` */
  lease(): Promise<LeaseHeld | undefined>;
  close(): Promise<void>;
}

/**
 * The right to write. Every call but `renew` is refused by the store itself once another epoch began:
 * the leader may have slept and believe anything.
 */
export interface Leadership {
  readonly epoch: number;
  readonly holder: string;
  /** Ledger time now: the store's own stamp at the takeover plus this process's monotonic clock. */
  ledgerNowMs(): number;
  /** The value of `Clock.monotonicMs` at which this leader must have stopped acting, unless it renews. */
  validUntilMs(): number;
  /** Prolongs the lease. @throws RollcallError `DEPOSED`, `LEDGER_UNAVAILABLE` */
  renew(): Promise<void>;
  /**
   * Writes a batch, whole or not at all; an unanswered try is repeated, which writes it once all the same. One at a time:
   * further calls wait. Each batch is conditional on the one before it, so that none is lost or slipped in between.
   * After `LEDGER_UNAVAILABLE`, which may take 20 s, no batch is taken until the state was loaded anew by `Ledger.readAll`
   * (or leadership was taken again).
   * @returns the revision of every written key
   * @throws RollcallError `DEPOSED` another epoch began; `LEDGER_UNAVAILABLE` not known whether it was
   *   written; `LEDGER_FULL` not written, the store has no room; `BATCH_TOO_LARGE`, `PAYLOAD_TOO_LARGE` not written
   */
  commit(batch: LedgerBatch): Promise<{ readonly revisions: ReadonlyMap<string, number> }>;
  /** Gives the lease back so that another may lead at once. Never throws: what cannot be given back ends by itself. */
  resign(): Promise<void>;
}

/** A stored file of a release or configuration, addressed by its digest. */
export interface StoredObject {
  readonly name: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** When the store took it, by the store's clock; in lists, where it is known. */
  readonly storedAtMs?: number;
}

/** The files of releases. */
export interface Objects {
  /**
   * Stores a file whole or not at all, in place of one of the same name. What `chunks` throws comes out.
   * @param name 1 to 200 printable ASCII characters
   * @throws RollcallError `OBJECT_STORE_FULL`, `LEDGER_UNAVAILABLE`
   */
  put(name: string, chunks: AsyncIterable<Uint8Array>): Promise<StoredObject>;
  /** Yields the bytes and checks size and digest at the end. @throws RollcallError `OBJECT_NOT_FOUND`, `CHECKSUM_MISMATCH`, `LEDGER_UNAVAILABLE` */
  get(name: string): AsyncIterable<Uint8Array>;
  remove(name: string): Promise<void>;
  list(): Promise<StoredObject[]>;
  /**
   * Removes what uploads left that did not come to their end, if it is older; with `dryRun` only counts it.
   * @returns how many uploads
   */
  sweep(options: { readonly olderThanMs: number; readonly dryRun: boolean }): Promise<number>;
}

/** What must survive a restart of this process, one record an actor, written whole and synced before `save` resolves. */
export interface RecordStore {
  /** All records of a kind; `undefined` in place of one that cannot be read. */
  load(kind: string): Promise<{ readonly id: string; readonly record: unknown }[]>;
  /** @throws RollcallError `DISK_FULL` */
  save(kind: string, id: string, record: unknown): Promise<void>;
  remove(kind: string, id: string): Promise<void>;
}
