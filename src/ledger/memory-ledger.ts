import { assert } from "../base/assert.js";
import type { Bus, BusMessage, Clock, Ledger, Log, Random, Subscription } from "../base/ports.js";
import type { AuditEvent } from "./event-chain.js";
import { readEvent } from "./event-chain.js";
import { StoreExchange } from "./memory-exchange.js";
import type { StoreObserver } from "./memory-fleet.js";
import { callSubject, MemoryFleet } from "./memory-fleet.js";
import { MemoryStore } from "./memory-store.js";
import type { ConnectedBus } from "./reachable.js";
import type { LedgerParts } from "./store-ledger.js";
import { openStoreLedger } from "./store-ledger.js";

export type { SeenBatch, StoreObserver } from "./memory-fleet.js";

/** How far back it is known what was stored: the time after which a server syncs its files, unless told otherwise. */
const rememberedMs = 120_000;

/** One process's way to a ledger. */
export interface MemoryLedgerOptions {
  readonly fleet: string;
  readonly bus: ConnectedBus;
  /** Default: the store's. */
  readonly log?: Log;
  /** The process's own, if it has one. */
  readonly clock?: Clock;
}

/** How a server in memory is killed. */
export interface CrashOptions {
  /** What it forgets, if it does not always sync: what was written in so long before. Default 0. */
  readonly loseMs?: number;
  /** How long after the end of the fault a process is connected again. Default: at once. */
  readonly reconnectMs?: (name: string) => number;
}

/** A store that outlives the processes of a test or simulation, and what goes wrong with it. */
export interface MemoryLedgerStore {
  /** The ledger of one process, over that process's own connection to the hub. */
  open(options: MemoryLedgerOptions): Promise<Ledger>;
  /** What a restore needs of a process's way to the ledger. */
  parts(options: MemoryLedgerOptions): LedgerParts;
  /** Shows every batch at the moment at which the store decides about it, until unsubscribed. */
  observe(observer: StoreObserver): Subscription;
  /** The server forgets all keys of a fleet, as if its bucket had been deleted; the audit stream stays. */
  lose(fleet: string): void;
  /** The audit events of a fleet, oldest first. */
  events(fleet: string): AuditEvent[];
  /** Bytes that the keys of a fleet take. */
  used(fleet: string): number;
  /** Room for keys of a fleet; 1 GiB unless told. */
  limit(fleet: string, maxBytes: number): void;
  /**
   * The server is killed: it is gone with all connections until the fault is ended, and what was on its way is lost. What it
   * had acknowledged is there again, unless it does not always sync: then it goes back to what it held `loseMs` before, and
   * counts revisions from there; the audit stream loses the same events. (Not in the model: files of bucket and audit
   * stream that lose different times, damaged files, members of a cluster that differ.)
   */
  crash(options?: CrashOptions): Subscription;
  /**
   * While it lasts every replica is behind, by what `lagMs` says each time that one is asked (two minutes at most, and no
   * further back than the fault): direct gets of a key and of audit events, and what a follower begins with. The leader of the
   * stream is never behind (writes and their conditions, the single reads of who writes); reading everything asks it
   * for what is missing, and takes as long as the lag.
   */
  lag(lagMs: () => number): Subscription;
  /** The store answers nobody until the fault is ended. */
  unavailable(): Subscription;
  /** The next commit is refused and not written. */
  refuseNextCommit(fleet: string): void;
  /** The next commit is written, and its answer lost. */
  loseNextAnswer(fleet: string): void;
  /** The next commit reaches the store only when the returned function is called, and its answer nobody. */
  holdNextCommit(fleet: string): () => void;
  /** Nothing is to become of the next commit any more. */
  spareNextCommit(fleet: string): void;
  /** The fleet has a new epoch, as if another process had taken it. */
  depose(fleet: string): void;
}

interface StoreParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The hub of all processes, of `createMemoryBus`. */
  readonly hub: {
    connect(name: string, options: { isServer: true }): Bus;
    stop(reconnectMs?: (name: string) => number): Subscription;
  };
  /** Whether a write is on disk before it is acknowledged, as with `sync_interval: always`. Default true. */
  readonly syncAlways?: boolean;
  /** Events that the audit stream keeps; 100,000 unless told. */
  readonly auditMax?: number;
}

/**
 * The ledgers of all fleets in memory, with JetStream's semantics; the code above the store is the one that runs over
 * JetStream. The hub's faults hold for it too: a process that is cut off cannot write.
 *
 * @example
 * const hub = createMemoryBus(clock);
 * const store = createMemoryLedgerStore({ clock, random, hub, log });
 * const ledger = await store.open({ fleet: "default", bus: hub.connect("coordinator-1") });
 */
export function createMemoryLedgerStore(parts: StoreParts): MemoryLedgerStore {
  return new LedgerServer(parts);
}

class LedgerServer implements MemoryLedgerStore {
  readonly #parts: StoreParts;
  readonly #bus: Bus;
  readonly #exchange = new StoreExchange();
  readonly #observers = new Set<StoreObserver>();
  readonly #fleets = new Map<string, MemoryFleet>();
  #answers = true;
  #lagMs: (() => number) | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#bus = parts.hub.connect("ledger-store", { isServer: true });
    this.#bus.subscribe("$JS.API.DIRECT.GET.>", (message) => this.#get(message));
    this.#bus.subscribe("$JS.API.STREAM.MSG.GET.>", (message) => this.#get(message));
  }

  open(options: MemoryLedgerOptions): Promise<Ledger> {
    return openStoreLedger(this.parts(options));
  }

  parts({ fleet, bus, log = this.#parts.log, clock = this.#parts.clock }: MemoryLedgerOptions): LedgerParts {
    if (!this.#fleets.has(fleet)) this.#make(fleet);
    const parts = { fleet, bus, clock };
    const store = new MemoryStore({ ...parts, subject: callSubject(fleet), exchange: this.#exchange });
    return { ...parts, store, log, random: this.#parts.random };
  }

  observe(observer: StoreObserver): Subscription {
    this.#observers.add(observer);
    return { unsubscribe: () => void this.#observers.delete(observer) };
  }

  lose(fleet: string): void {
    this.#of(fleet).bucket.clear();
  }

  events(fleet: string): AuditEvent[] {
    return this.#of(fleet).bucket.audit.map((event) => {
      const read = readEvent({
        header: (name) => event.headers[name],
        data: new TextEncoder().encode(event.body),
      });
      assert(read !== undefined, "the audit log holds events");
      return read;
    });
  }

  used(fleet: string): number {
    return this.#of(fleet).bucket.usage().usedBytes;
  }

  limit(fleet: string, maxBytes: number): void {
    this.#of(fleet).bucket.maxBytes = maxBytes;
  }

  crash({ loseMs = 0, reconnectMs }: CrashOptions = {}): Subscription {
    const { hub, syncAlways = true } = this.#parts;
    assert(loseMs === 0 || !syncAlways, "what is always synced is never lost");
    const gone = hub.stop(reconnectMs);
    for (const fleet of this.#fleets.values()) fleet.forget(loseMs);
    return gone;
  }

  lag(lagMs: () => number): Subscription {
    for (const { bucket } of this.#fleets.values()) bucket.remember(rememberedMs);
    this.#lagMs = lagMs;
    return {
      unsubscribe: () => {
        if (this.#lagMs === lagMs) this.#lagMs = undefined;
      },
    };
  }

  unavailable(): Subscription {
    this.#answers = false;
    return {
      unsubscribe: () => {
        this.#answers = true;
      },
    };
  }

  refuseNextCommit(fleet: string): void {
    this.#of(fleet).commitFault = "refuse";
  }

  spareNextCommit(fleet: string): void {
    this.#of(fleet).commitFault = undefined;
  }

  loseNextAnswer(fleet: string): void {
    this.#of(fleet).commitFault = "lose";
  }

  holdNextCommit(fleet: string): () => void {
    const held = this.#of(fleet);
    held.commitFault = "hold";
    return () => held.release();
  }

  depose(fleet: string): void {
    this.#of(fleet).depose();
  }

  #of(fleet: string): MemoryFleet {
    const found = this.#fleets.get(fleet);
    assert(found !== undefined, `fleet ${fleet} has a ledger`);
    return found;
  }

  #make(fleet: string): void {
    const { clock, syncAlways = true, auditMax } = this.#parts;
    const made = new MemoryFleet({
      fleet,
      clock,
      bus: this.#bus,
      exchange: this.#exchange,
      observers: this.#observers,
      lagMs: () => this.#lagMs?.(),
      auditMax,
    });
    if (!syncAlways || this.#lagMs !== undefined) made.bucket.remember(rememberedMs);
    made.serve(() => this.#answers);
    this.#fleets.set(fleet, made);
  }

  #get(message: BusMessage): void {
    if (!this.#answers) return;
    const lagMs = this.#lagMs?.() ?? 0;
    for (const fleet of this.#fleets.values()) fleet.get(message, lagMs);
  }
}
