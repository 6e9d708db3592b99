import type { Bus, BusMessage, Clock, Subscription } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import { subjectsOf } from "../contracts/subjects.js";
import { subjectOfKey } from "./ledger-reader.js";
import { answerAudit } from "./memory-audit.js";
import { type BucketListener, deposition, MemoryBucket } from "./memory-bucket.js";
import type { StoreCall, StoreExchange, StoreResult } from "./memory-exchange.js";
import { isFollowed, type StoreAnswer, type StoreBatch, type StoredMessage } from "./store.js";

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
  /** The server was killed, and knows nothing of what it stored above this revision. */
  forgot?(fleet: string, revision: number): void;
}

const decoder = new TextDecoder();

type WriteCall = Extract<StoreCall, { verb: "write" }>;

interface FleetParts {
  readonly fleet: string;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly exchange: StoreExchange;
  readonly observers: ReadonlySet<StoreObserver>;
  /** How far a replica is behind that is asked now; drawn for each question. `undefined`: there is no fault. */
  readonly lagMs: () => number | undefined;
  readonly auditMax: number | undefined;
}

/** What becomes of the next commit. */
export type CommitFault = "refuse" | "lose" | "hold";

/** The server's side of the ledger of one fleet in memory. */
export class MemoryFleet {
  readonly bucket: MemoryBucket;
  commitFault: CommitFault | undefined;
  readonly #parts: FleetParts;
  readonly #subject: string;
  /** What a held commit waits for. */
  #release: () => void = () => undefined;
  /** Of followed keys, not announced yet; nothing is kept before somebody follows. */
  #fresh: StoredMessage[] | undefined;
  #announcedRevision = 0;

  constructor(parts: FleetParts) {
    const { fleet, clock, bus, observers, auditMax } = parts;
    const { root } = subjectsOf(fleet);
    this.#parts = parts;
    this.#subject = callSubject(fleet);
    const listener: BucketListener = {
      stored: (message) => {
        this.#republish(message);
        if (isFollowed(message.key)) this.#fresh?.push(message);
      },
      ended: (marker) => {
        for (const observer of observers) observer.ended?.(fleet, marker);
      },
      held: ({ kind, id, body, headers }) => bus.publish(`${root}.event.${kind}.${id}`, body, headers),
    };
    this.bucket = new MemoryBucket(clock, listener, auditMax);
  }

  /** Takes calls from now on, where `answers` says so. */
  serve(answers: () => boolean): Subscription {
    const { bus, exchange, clock, lagMs } = this.#parts;
    return bus.subscribe(this.#subject, (message) => {
      if (!answers()) return;
      const ticket = decoder.decode(message.data);
      const call = exchange.callOf(ticket);
      if (call === undefined) return;
      const waitMs = call.verb === "scan" ? lagMs() : undefined;
      if (waitMs === undefined) this.#answer(call, ticket, message);
      else clock.setTimer(waitMs, () => this.#answer(call, ticket, message));
    });
  }

  /** Answers a direct get of a key or of audit events; what is asked of others it leaves alone. */
  get(message: BusMessage, lagMs: number): void {
    const { fleet } = this.#parts;
    const { bucket } = this;
    answerAudit(fleet, { audit: bucket.audit, replica: () => bucket.auditBehind(lagMs) }, message);
    const prefix = `$JS.API.DIRECT.GET.KV_${storesOf(fleet).bucket}.${subjectOfKey(fleet, "")}`;
    if (!message.subject.startsWith(prefix)) return;
    const found = bucket.readBehind(message.subject.slice(prefix.length), lagMs);
    if (found === undefined) message.respond("", { Status: "404" });
    else message.respond(found.body, this.#headersOf(found));
  }

  release(): void {
    this.#release();
  }

  depose(): void {
    this.#write(deposition(this.bucket), "");
    this.#announceChanges();
  }

  /** The server is killed: what was written in this time is gone, and whatever waited for it. */
  forget(loseMs: number): void {
    const { fleet, observers } = this.#parts;
    const forgotten = this.bucket.forget(loseMs);
    this.#announcedRevision = this.bucket.revision;
    if (this.#fresh !== undefined) this.#fresh = [];
    this.commitFault = undefined;
    this.#release = () => undefined;
    if (forgotten > 0) for (const observer of observers) observer.forgot?.(fleet, this.bucket.revision);
  }

  #answer(call: StoreCall, ticket: string, message: BusMessage): void {
    const result = call.verb === "write" ? this.#written(call) : this.#resultOf(call);
    this.#announceChanges();
    if (result === undefined) return;
    this.#parts.exchange.settle(ticket, result);
    message.respond(ticket);
  }

  #resultOf(call: Exclude<StoreCall, WriteCall>): StoreResult {
    const { bucket } = this;
    switch (call.verb) {
      case "read": {
        const found = bucket.read(call.key);
        return { messages: found === undefined ? [] : [found] };
      }
      case "scan":
        return { messages: bucket.scan() };
      case "follow": {
        this.#fresh ??= [];
        const { messages, revision } = bucket.scanBehind(this.#parts.lagMs() ?? 0);
        return { messages: messages.filter(({ key }) => isFollowed(key)), revision };
      }
      case "revision":
        return { revision: bucket.revision };
      case "usage":
        return { usage: bucket.usage() };
      case "dropHeldEvents":
        bucket.dropHeldEvents();
        return {};
    }
  }

  /** `undefined`: no answer. */
  #written({ batch, from }: WriteCall): StoreResult | undefined {
    const fault = batch.messageId === undefined ? undefined : this.commitFault;
    if (fault === undefined) return { answer: this.#write(batch, from) };
    this.commitFault = undefined;
    if (fault === "refuse") return { answer: { kind: "refused", problem: "a fault of the test" } };
    if (fault === "lose") this.#write(batch, from);
    else
      this.#release = () => {
        this.#write(batch, from);
        this.#announceChanges();
      };
    return undefined;
  }

  #write(batch: StoreBatch, from: string): StoreAnswer {
    const { fleet, observers } = this.#parts;
    const answer = this.bucket.write(batch);
    for (const observer of observers)
      if (answer.kind === "stored") observer.stored({ fleet, from, batch }, answer.revision);
      else observer.refused?.({ fleet, from, batch }, answer.kind);
    return answer;
  }

  #republish(message: StoredMessage): void {
    if (!message.key.startsWith("desired.")) return;
    const { bus, fleet } = this.#parts;
    bus.publish(subjectsOf(fleet).desired(message.key), message.body, this.#headersOf(message));
  }

  /** Tells followers what was stored since this was done last. */
  #announceChanges(): void {
    const { bus, exchange } = this.#parts;
    const fromRevision = this.#announcedRevision;
    const toRevision = this.bucket.revision;
    const messages = this.#fresh;
    this.#announcedRevision = toRevision;
    if (messages === undefined || toRevision === fromRevision) return;
    this.#fresh = [];
    bus.publish(`${this.#subject}.changes`, exchange.announce({ fromRevision, toRevision, messages }));
  }

  #headersOf(message: StoredMessage): Record<string, string> {
    return {
      "Nats-Subject": subjectOfKey(this.#parts.fleet, message.key),
      "Nats-Sequence": String(message.revision),
      "Nats-Time-Stamp": new Date(message.writtenAtMs).toISOString(),
      ...(message.deleted ? { "KV-Operation": "DEL" } : {}),
    };
  }
}

/** Where a fleet's calls go. */
export function callSubject(fleet: string): string {
  return `$LEDGER.${storesOf(fleet).bucket}`;
}
