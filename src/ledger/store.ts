import type { RollcallError } from "../base/errors.js";
import type { Subscription } from "../base/ports.js";

/**
 * What a ledger asks of the server that keeps it: a few conditional writes and reads. JetStream gives it, and a model
 * of JetStream in memory; leadership, repeats and the audit log are one code over both.
 */
export interface Store {
  /** The largest body of a message. */
  readonly messageMaxBytes: number;
  /**
   * Writes all of the batch or nothing, each message under the revision that follows the one before it.
   * Never throws: what went wrong is the answer.
   */
  write(batch: StoreBatch, timeoutMs: number): Promise<StoreAnswer>;
  /** The newest message of a key, a deletion too; never stale. @throws RollcallError `LEDGER_UNAVAILABLE` */
  read(key: string): Promise<StoredMessage | undefined>;
  /** The newest message of every key but events and deleted ones, exactly as of one revision. @throws RollcallError `LEDGER_UNAVAILABLE` */
  scan(): Promise<StoredMessage[]>;
  /** Hands over the newest message of every followed key, and then what is stored, deletions too. */
  follow(follower: StoreFollower): StoreFollowing;
  /** @throws RollcallError `LEDGER_UNAVAILABLE` */
  usage(): Promise<StoreUsage>;
  /** Removes the events that the audit stream holds by now. @throws RollcallError `LEDGER_UNAVAILABLE` */
  dropHeldEvents(): Promise<void>;
  /** Waits until the server can be asked. @returns whether it can, after `timeoutMs` at most */
  reachable(timeoutMs: number): Promise<boolean>;
}

/** Who is told what a store holds; see `LedgerFollower` for what each call means. */
export interface StoreFollower {
  began(): void;
  message(message: StoredMessage): void;
  inStep(): void;
  failed(problem: RollcallError): void;
}

export interface StoreFollowing extends Subscription {
  /** Begins anew: what was handed over belongs to another ledger. */
  again(): void;
}

/** Whether a key is followed: one word or two, so neither an event nor a desired state, which repeats what records say. */
export function isFollowed(key: string): boolean {
  return key.indexOf(".", key.indexOf(".") + 1) < 0;
}

export interface StoreWrite {
  readonly key: string;
  /** JSON; without meaning if `deleted`. */
  readonly body: string;
  readonly deleted?: boolean;
  /** When the server removes it by itself. Whole seconds. */
  readonly ttlMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The batch is refused unless this key's newest message has this revision (0: there is none). */
  readonly expect?: { readonly key: string; readonly revision: number };
}

export interface StoreBatch {
  readonly writes: readonly [StoreWrite, ...StoreWrite[]];
  /** A batch of an id that the server has stored lately is answered `duplicate`, whatever it expects. */
  readonly messageId?: string;
}

export type StoreAnswer =
  /** `revision` is that of the last message. */
  | { readonly kind: "stored"; readonly revision: number }
  /** Not written: an expectation was wrong. */
  | { readonly kind: "conflict" }
  /** Written by an earlier batch of the same message id. */
  | { readonly kind: "duplicate" }
  /** Not written: the server was busy with something that concerns it. */
  | { readonly kind: "again"; readonly problem: string }
  /** Not written: there is no room. */
  | { readonly kind: "full"; readonly problem: string }
  /** Not written, and asking again will not help. */
  | { readonly kind: "refused"; readonly problem: string }
  /** Not known whether it was, or yet will be, written. */
  | { readonly kind: "unanswered"; readonly problem: string };

export interface StoredMessage {
  readonly key: string;
  readonly revision: number;
  /** The server's own stamp, epoch milliseconds. */
  readonly writtenAtMs: number;
  readonly deleted: boolean;
  readonly body: string;
}

export interface StoreUsage {
  readonly usedBytes: number;
  readonly maxBytes: number;
}

/** What a message takes beside key and body: the server's framing, and the headers of a batch. */
const overheadBytes = 300;

/** An upper bound of the room that a batch takes. */
export function sizeOf({ writes }: StoreBatch): number {
  let bytes = 0;
  for (const write of writes) bytes += sizeOfWrite(write);
  return bytes;
}

/** The same of one of its messages. */
export function sizeOfWrite({ key, body, headers }: StoreWrite): number {
  let bytes = overheadBytes + key.length + Buffer.byteLength(body);
  if (headers !== undefined)
    for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0) + 4;
  return bytes;
}
