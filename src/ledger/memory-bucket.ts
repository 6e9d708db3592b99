import type { Clock } from "../base/ports.js";
import { keys } from "../contracts/keys.js";
import { type BucketCounts, BucketJournal } from "./memory-journal.js";
import type { StoreAnswer, StoreBatch, StoredMessage, StoreUsage, StoreWrite } from "./store.js";
import { sizeOf, sizeOfWrite } from "./store.js";

/** How long the id of a batch is remembered: the server's default. */
const duplicateWindowMs = 120_000;
/** What an expired key leaves behind stays this long. */
const markerTtlMs = 60_000;
/** Events that the audit stream keeps, unless told; it drops the oldest, some at a time. */
const auditDefaultMax = 100_000;

/** An event as the audit stream holds it. */
export interface HeldEvent {
  /** Its place in that stream. */
  readonly position: number;
  readonly kind: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Kept extends StoredMessage {
  /** When it is removed, epoch milliseconds. */
  readonly endsAtMs: number | undefined;
  readonly isMarker: boolean;
  readonly bytes: number;
}

/** What happened in a bucket that others are told of. */
export interface BucketListener {
  /** A message was stored under a key. */
  stored(message: StoredMessage): void;
  /** A key ended by itself: this is what it left, and was told as stored before. */
  ended(marker: StoredMessage): void;
  /** The audit stream took an event over. */
  held(event: HeldEvent): void;
}

/** A model of the JetStream bucket of one fleet and of its audit stream: what a server answers, without the server. */
export class MemoryBucket {
  maxBytes = 1_073_741_824;
  readonly audit: HeldEvent[] = [];
  readonly #clock: Clock;
  readonly #listener: BucketListener;
  readonly #auditMax: number;
  readonly #kept = new Map<string, Kept>();
  /** The events among them, until the audit stream has taken them over. */
  readonly #fresh = new Map<string, Kept>();
  /** The keys that end by themselves, and when the first of them does. */
  readonly #ending = new Set<string>();
  #firstEndMs = Number.POSITIVE_INFINITY;
  /** When each was stored; those of before the duplicate window go now and then. */
  readonly #messageIds = new Map<string, number>();
  #sweptAtMs = 0;
  #revision = 0;
  #usedBytes = 0;
  #events = 0;
  /** Only while somebody may ask for it. */
  #journal: BucketJournal<Kept> | undefined;

  constructor(clock: Clock, listener: BucketListener, auditMax = auditDefaultMax) {
    this.#clock = clock;
    this.#auditMax = auditMax;
    this.#listener = listener;
  }

  /** Remembers from now on what changes, for so long. */
  remember(windowMs: number): void {
    this.#journal ??= new BucketJournal(windowMs);
  }

  read(key: string): StoredMessage | undefined {
    this.#expire();
    return this.#of(key);
  }

  /** What was under a key so long ago, as far as that is remembered. */
  readBehind(key: string, lagMs: number): StoredMessage | undefined {
    this.#expire();
    const now = this.#of(key);
    return this.#journal === undefined ? now : this.#journal.keptAt(key, this.#clock.nowMs() - lagMs, now);
  }

  #of(key: string): Kept | undefined {
    return this.#kept.get(key) ?? this.#fresh.get(key);
  }

  /** The audit stream as it was so long ago. */
  auditBehind(lagMs: number): readonly HeldEvent[] {
    const atMs = this.#clock.nowMs() - lagMs;
    const { events } = this.#journal?.countsAt(atMs, this.#counts) ?? this.#counts;
    return events === this.#events ? this.audit : this.audit.filter(({ position }) => position <= events);
  }

  /** Is again what it was so long ago, and counts from there. @returns how many revisions were forgotten */
  forget(loseMs: number): number {
    this.#expire();
    const newest = this.#revision;
    const atMs = this.#clock.nowMs() - loseMs;
    const { revision, events } = this.#journal?.countsAt(atMs, this.#counts) ?? this.#counts;
    const before = new Map([...this.#kept, ...this.#fresh]);
    this.#journal?.putBack(before, atMs);
    for (const { messageId } of this.#journal?.takeBack(atMs) ?? [])
      if (messageId !== undefined) this.#messageIds.delete(messageId);
    this.#revision = revision;
    this.#events = events;
    while ((this.audit.at(-1)?.position ?? 0) > events) this.audit.pop();
    this.#countAnew([...before.values()].sort(byRevision));
    return newest - revision;
  }

  get #counts(): BucketCounts {
    return { revision: this.#revision, events: this.#events };
  }

  #countAnew(messages: readonly Kept[]): void {
    this.#kept.clear();
    this.#fresh.clear();
    this.#ending.clear();
    this.#usedBytes = 0;
    this.#firstEndMs = Number.POSITIVE_INFINITY;
    for (const message of messages)
      if (isEvent(message.key)) this.#enterEvent(message);
      else this.#enter(message);
  }

  /** In the order of the revisions, as JetStream reads them. */
  scan(): StoredMessage[] {
    this.#expire();
    return [...this.#kept.values()].filter(({ deleted }) => !deleted).sort(byRevision);
  }

  /** What there was so long ago, and its revision. */
  scanBehind(lagMs: number): { readonly messages: StoredMessage[]; readonly revision: number } {
    const messages = this.scan();
    const atMs = this.#clock.nowMs() - lagMs;
    const { revision } = this.#journal?.countsAt(atMs, this.#counts) ?? this.#counts;
    if (revision === this.#revision) return { messages, revision };
    const before = new Map(this.#kept);
    this.#journal?.putBack(before, atMs);
    const scanned = [...before.values()].filter(({ key, deleted }) => !deleted && !isEvent(key));
    return { messages: scanned.sort(byRevision), revision };
  }

  /** The newest revision. */
  get revision(): number {
    this.#expire();
    return this.#revision;
  }

  usage(): StoreUsage {
    return { usedBytes: this.#usedBytes, maxBytes: this.maxBytes };
  }

  /** Forgets every key; it goes on counting, as a bucket that is made anew beside its audit stream does. */
  clear(): void {
    this.#begin();
    for (const [key, kept] of [...this.#kept, ...this.#fresh]) this.#journal?.note(key, kept);
    this.#kept.clear();
    this.#fresh.clear();
    this.#ending.clear();
    this.#messageIds.clear();
    this.#usedBytes = 0;
  }

  dropHeldEvents(): void {
    this.#begin();
    for (const event of this.#fresh.values()) {
      this.#journal?.note(event.key, event);
      this.#usedBytes -= event.bytes;
    }
    this.#fresh.clear();
  }

  write(batch: StoreBatch): StoreAnswer {
    this.#expire();
    if (this.#knows(batch.messageId)) return { kind: "duplicate" };
    for (const { expect } of batch.writes) {
      if (expect !== undefined && (this.#kept.get(expect.key)?.revision ?? 0) !== expect.revision) {
        return { kind: "conflict" };
      }
    }
    if (this.#usedBytes + sizeOf(batch) > this.maxBytes)
      return { kind: "full", problem: "maximum bytes exceeded" };
    this.#begin(batch.messageId);
    if (batch.messageId !== undefined) this.#messageIds.set(batch.messageId, this.#clock.nowMs());
    for (const write of batch.writes) this.#store(write);
    return { kind: "stored", revision: this.#revision };
  }

  #knows(messageId: string | undefined): boolean {
    const storedAtMs = messageId === undefined ? undefined : this.#messageIds.get(messageId);
    return storedAtMs !== undefined && this.#clock.nowMs() - storedAtMs < duplicateWindowMs;
  }

  #store(write: StoreWrite): void {
    const nowMs = this.#clock.nowMs();
    const kept = {
      key: write.key,
      revision: ++this.#revision,
      writtenAtMs: nowMs,
      deleted: write.deleted === true,
      body: write.deleted === true ? "" : write.body,
      endsAtMs: write.ttlMs === undefined ? undefined : nowMs + write.ttlMs,
      isMarker: false,
      bytes: sizeOfWrite(write),
    };
    const [, kind, id] = isEvent(write.key) ? write.key.split(".") : [];
    if (kind === undefined || id === undefined) {
      this.#keep(kept);
      return;
    }
    this.#journal?.note(kept.key, undefined);
    this.#enterEvent(kept);
    this.#listener.stored(kept);
    const event = { position: ++this.#events, kind, id, headers: write.headers ?? {}, body: write.body };
    this.audit.push(event);
    if (this.audit.length >= this.#auditMax + Math.ceil(this.#auditMax / 10))
      this.audit.splice(0, this.audit.length - this.#auditMax);
    this.#listener.held(event);
  }

  #begin(messageId?: string): void {
    this.#journal?.begin(this.#clock.nowMs(), this.#counts, messageId);
  }

  #enterEvent(event: Kept): void {
    this.#fresh.set(event.key, event);
    this.#usedBytes += event.bytes;
  }

  /** In the place of what was under its key: a `Map` that keys leave and enter again keeps being made anew. */
  #keep(message: Kept): void {
    this.#take(message.key);
    this.#enter(message);
    this.#listener.stored(message);
  }

  #enter(message: Kept): void {
    this.#kept.set(message.key, message);
    this.#usedBytes += message.bytes;
    if (message.endsAtMs !== undefined) {
      this.#ending.add(message.key);
      this.#firstEndMs = Math.min(this.#firstEndMs, message.endsAtMs);
    }
  }

  #remove(key: string): void {
    this.#take(key);
    this.#kept.delete(key);
  }

  #take(key: string): void {
    const kept = this.#kept.get(key);
    this.#journal?.note(key, kept);
    this.#usedBytes -= kept?.bytes ?? 0;
    if (kept?.endsAtMs !== undefined) this.#ending.delete(key);
  }

  /** A message that ends leaves a marker of its own revision, and the marker ends without one. */
  #expire(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#firstEndMs) this.#end(nowMs);
    if (nowMs - this.#sweptAtMs < duplicateWindowMs) return;
    this.#sweptAtMs = nowMs;
    for (const [id, storedAtMs] of this.#messageIds)
      if (nowMs - storedAtMs >= duplicateWindowMs) this.#messageIds.delete(id);
  }

  #end(nowMs: number): void {
    this.#begin();
    this.#firstEndMs = Number.POSITIVE_INFINITY;
    for (const key of [...this.#ending]) {
      const { endsAtMs = nowMs, isMarker = true } = this.#kept.get(key) ?? {};
      if (endsAtMs > nowMs) this.#firstEndMs = Math.min(this.#firstEndMs, endsAtMs);
      else if (isMarker) this.#remove(key);
      else {
        const marker = this.#markerOf(key, nowMs);
        this.#keep(marker);
        this.#listener.ended(marker);
      }
    }
  }

  #markerOf(key: string, nowMs: number): Kept {
    const write = { key, body: "", deleted: true };
    return {
      ...write,
      revision: ++this.#revision,
      writtenAtMs: nowMs,
      endsAtMs: nowMs + markerTtlMs,
      isMarker: true,
      bytes: sizeOfWrite(write),
    };
  }
}

function isEvent(key: string): boolean {
  return key.startsWith("event.");
}

function byRevision(a: StoredMessage, b: StoredMessage): number {
  return a.revision - b.revision;
}

/** For the fault "somebody else leads now": what another process would write. */
export function deposition(bucket: MemoryBucket): StoreBatch {
  const epochMessage = bucket.read(keys.epoch);
  const epoch: unknown = epochMessage === undefined ? undefined : JSON.parse(epochMessage.body);
  const last = typeof epoch === "object" && epoch !== null && "epoch" in epoch ? Number(epoch.epoch) : 0;
  const body = JSON.stringify({ holder: "somebody-else", epoch: last + 1, claim: "a fault of the test" });
  return {
    writes: [
      { key: keys.lease, body, ttlMs: 3_000 },
      { key: keys.epoch, body },
    ],
  };
}
