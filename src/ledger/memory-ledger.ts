import { assert } from "../base/assert.js";
import type { Bus, BusMessage, Clock, Ledger, Log, Random, Subscription } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { AuditEvent } from "./event-chain.js";
import { readEvent } from "./event-chain.js";
import { subjectOfKey } from "./ledger-reader.js";
import { answerAudit } from "./memory-audit.js";
import type { HeldEvent } from "./memory-bucket.js";
import { deposition, MemoryBucket } from "./memory-bucket.js";
import type { StoreCall, StoreResult } from "./memory-exchange.js";
import { StoreExchange } from "./memory-exchange.js";
import { MemoryStore } from "./memory-store.js";
import type { ConnectedBus } from "./reachable.js";
import { isFollowed, type StoreAnswer, type StoreBatch, type StoredMessage } from "./store.js";
import type { LedgerParts } from "./store-ledger.js";
import { openStoreLedger } from "./store-ledger.js";

/** One process's way to a ledger. */
export interface MemoryLedgerOptions {
  readonly fleet: string;
  readonly bus: ConnectedBus;
  /** Default: the store's. */
  readonly log?: Log;
  /** The process's own, if it has one. */
  readonly clock?: Clock;
}

/** A batch that somebody has sent to the store. */
export interface SeenBatch {
  readonly fleet: string;
  /** The connection that it came by; empty for a fault's own. */
  readonly from: string;
  readonly batch: StoreBatch;
}

/**
 * Sees what the store does, whether or not whoever asked for it is told, in the order in which it does it. It must not
 * throw: the bus would take that for a handler's mistake.
 */
export interface StoreObserver {
  /** It is stored. @param revision of its last message; the others are those before it */
  stored(seen: SeenBatch, revision: number): void;
  /** It is not, for this reason. */
  refused?(seen: SeenBatch, kind: Exclude<StoreAnswer["kind"], "stored">): void;
  /** A key ended by itself, and left this. */
  ended?(fleet: string, marker: StoredMessage): void;
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
  /** The store answers nobody until the fault is ended. */
  unavailable(): Subscription;
  /** The next commit is refused and not written. */
  refuseNextCommit(fleet: string): void;
  /** The next commit is written, and its answer lost. */
  loseNextAnswer(fleet: string): void;
  /** The next commit reaches the store only when the returned function is called, and its answer nobody. */
  holdNextCommit(fleet: string): () => void;
  /** The fleet has a new epoch, as if another process had taken it. */
  depose(fleet: string): void;
}

const decoder = new TextDecoder();

type CommitFault = "refuse" | "lose" | "hold";

interface Held {
  readonly fleet: string;
  readonly bucket: MemoryBucket;
  /** Hands a batch to the bucket, and says what became of it. */
  readonly write: (batch: StoreBatch, from: string) => StoreAnswer;
  commitFault: CommitFault | undefined;
  release: () => void;
  /** Of followed keys, not announced yet; nothing is kept before somebody follows. */
  fresh: StoredMessage[] | undefined;
  announcedRevision: number;
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
export function createMemoryLedgerStore(parts: {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hub: { connect(name: string): Bus };
}): MemoryLedgerStore {
  return new LedgerServer(parts.clock, parts.random, parts.log, parts.hub.connect("ledger-store"));
}

class LedgerServer implements MemoryLedgerStore {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #bus: Bus;
  readonly #exchange = new StoreExchange();
  readonly #observers = new Set<StoreObserver>();
  readonly #fleets = new Map<string, Held>();
  #answers = true;

  constructor(clock: Clock, random: Random, log: Log, bus: Bus) {
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#bus = bus;
    bus.subscribe("$JS.API.DIRECT.GET.>", (message) => this.#get(message));
    bus.subscribe("$JS.API.STREAM.MSG.GET.>", (message) => this.#get(message));
  }

  open(options: MemoryLedgerOptions): Promise<Ledger> {
    return openStoreLedger(this.parts(options));
  }

  parts({ fleet, bus, log = this.#log, clock = this.#clock }: MemoryLedgerOptions): LedgerParts {
    const { bucket } = storesOf(fleet);
    if (!this.#fleets.has(fleet)) this.#make(fleet);
    const parts = { fleet, bus, clock };
    const store = new MemoryStore({ ...parts, subject: callSubject(bucket), exchange: this.#exchange });
    return { ...parts, store, log, random: this.#random };
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

  loseNextAnswer(fleet: string): void {
    this.#of(fleet).commitFault = "lose";
  }

  holdNextCommit(fleet: string): () => void {
    const held = this.#of(fleet);
    held.commitFault = "hold";
    return () => held.release();
  }

  depose(fleet: string): void {
    const held = this.#of(fleet);
    held.write(deposition(held.bucket), "");
    this.#announceChanges(held);
  }

  #of(fleet: string): Held {
    const held = this.#fleets.get(fleet);
    assert(held !== undefined, `fleet ${fleet} has a ledger`);
    return held;
  }

  #make(fleet: string): void {
    const bucket = new MemoryBucket(this.#clock, {
      stored: (message) => {
        this.#republish(fleet, message);
        if (isFollowed(message.key)) held.fresh?.push(message);
      },
      ended: (marker) => {
        for (const observer of this.#observers) observer.ended?.(fleet, marker);
      },
      held: (event) => this.#announce(fleet, event),
    });
    const held: Held = {
      fleet,
      bucket,
      write: (batch, from) => this.#write(bucket, { fleet, from, batch }),
      commitFault: undefined,
      release: () => undefined,
      fresh: undefined,
      announcedRevision: 0,
    };
    this.#fleets.set(fleet, held);
    this.#bus.subscribe(callSubject(storesOf(fleet).bucket), (message) => {
      if (!this.#answers) return;
      const ticket = decoder.decode(message.data);
      const call = this.#exchange.callOf(ticket);
      if (call === undefined) return;
      const result = resultOf(held, call, () => this.#announceChanges(held));
      this.#announceChanges(held);
      if (result === undefined) return;
      this.#exchange.settle(ticket, result);
      message.respond(ticket);
    });
  }

  #write(bucket: MemoryBucket, seen: SeenBatch): StoreAnswer {
    const answer = bucket.write(seen.batch);
    for (const observer of this.#observers)
      if (answer.kind === "stored") observer.stored(seen, answer.revision);
      else observer.refused?.(seen, answer.kind);
    return answer;
  }

  #get(message: BusMessage): void {
    if (!this.#answers) return;
    for (const { fleet, bucket } of this.#fleets.values()) {
      answerAudit(fleet, bucket.audit, message);
      const prefix = `$JS.API.DIRECT.GET.KV_${storesOf(fleet).bucket}.${subjectOfKey(fleet, "")}`;
      if (!message.subject.startsWith(prefix)) continue;
      const found = bucket.read(message.subject.slice(prefix.length));
      if (found === undefined) message.respond("", { Status: "404" });
      else message.respond(found.body, headersOf(fleet, found));
    }
  }

  #republish(fleet: string, message: StoredMessage): void {
    if (!message.key.startsWith("desired.")) return;
    this.#bus.publish(subjectsOf(fleet).desired(message.key), message.body, headersOf(fleet, message));
  }

  /** Tells followers what was stored since this was done last. */
  #announceChanges(held: Held): void {
    const { fleet, bucket, fresh, announcedRevision: fromRevision } = held;
    const toRevision = bucket.revision;
    held.announcedRevision = toRevision;
    if (fresh === undefined || toRevision === fromRevision) return;
    held.fresh = [];
    const ticket = this.#exchange.announce({ fromRevision, toRevision, messages: fresh });
    this.#bus.publish(`${callSubject(storesOf(fleet).bucket)}.changes`, ticket);
  }

  #announce(fleet: string, event: HeldEvent): void {
    this.#bus.publish(`${subjectsOf(fleet).root}.event.${event.kind}.${event.id}`, event.body, event.headers);
  }
}

function callSubject(bucket: string): string {
  return `$LEDGER.${bucket}`;
}

/** `undefined`: no answer. */
function resultOf(held: Held, call: StoreCall, onLate: () => void): StoreResult | undefined {
  const { bucket } = held;
  switch (call.verb) {
    case "read": {
      const found = bucket.read(call.key);
      return { messages: found === undefined ? [] : [found] };
    }
    case "scan":
      return { messages: bucket.scan() };
    case "follow":
      held.fresh ??= [];
      return { messages: bucket.scan().filter(({ key }) => isFollowed(key)), revision: bucket.revision };
    case "revision":
      return { revision: bucket.revision };
    case "usage":
      return { usage: bucket.usage() };
    case "dropHeldEvents":
      bucket.dropHeldEvents();
      return {};
    case "write":
      return written(held, call, onLate);
  }
}

function written(
  held: Held,
  { batch, from }: Extract<StoreCall, { verb: "write" }>,
  onLate: () => void,
): StoreResult | undefined {
  const fault = batch.messageId === undefined ? undefined : held.commitFault;
  if (fault === undefined) return { answer: held.write(batch, from) };
  held.commitFault = undefined;
  if (fault === "refuse") return { answer: { kind: "refused", problem: "a fault of the test" } };
  if (fault === "lose") held.write(batch, from);
  else
    held.release = () => {
      held.write(batch, from);
      onLate();
    };
  return undefined;
}

function headersOf(fleet: string, message: StoredMessage): Record<string, string> {
  return {
    "Nats-Subject": subjectOfKey(fleet, message.key),
    "Nats-Sequence": String(message.revision),
    "Nats-Time-Stamp": new Date(message.writtenAtMs).toISOString(),
    ...(message.deleted ? { "KV-Operation": "DEL" } : {}),
  };
}
