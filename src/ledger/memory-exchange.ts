import type { StoreAnswer, StoreBatch, StoredMessage, StoreUsage } from "./store.js";

/** What a process asks of the store in memory. */
export type StoreCall =
  | { readonly verb: "write"; readonly batch: StoreBatch; readonly from: string }
  | { readonly verb: "read"; readonly key: string }
  | { readonly verb: "scan" | "usage" | "dropHeldEvents" | "follow" | "revision" };

/** What the store in memory answers. */
export interface StoreResult {
  readonly answer?: StoreAnswer;
  readonly messages?: readonly StoredMessage[];
  readonly usage?: StoreUsage;
  /** The newest of the store. */
  readonly revision?: number;
}

/** What was stored of followed keys behind one revision up to another. */
export interface StoreChange {
  readonly fromRevision: number;
  readonly toRevision: number;
  readonly messages: readonly StoredMessage[];
}

/** Changes that a slow follower may still fetch. */
const changesMax = 1_000;
/** Writes that may arrive after their senders gave up. */
const lateMax = 100;

/**
 * Calls and results on their way. Messages carry their number only, so that the hub's faults are those of the
 * ledger too, while what is large is not copied; it is all text that nobody changes.
 */
export class StoreExchange {
  readonly #calls = new Map<string, StoreCall>();
  readonly #late = new Map<string, StoreCall>();
  readonly #results = new Map<string, StoreResult>();
  readonly #changes = new Map<string, StoreChange>();
  #count = 0;

  /** @returns the number by which followers fetch it */
  announce(change: StoreChange): string {
    const ticket = String(++this.#count);
    this.#changes.set(ticket, change);
    const [oldest = ticket] = this.#changes.keys();
    if (this.#changes.size > changesMax) this.#changes.delete(oldest);
    return ticket;
  }

  changeOf(ticket: string): StoreChange | undefined {
    return this.#changes.get(ticket);
  }

  open(call: StoreCall): string {
    const ticket = String(++this.#count);
    this.#calls.set(ticket, call);
    return ticket;
  }

  callOf(ticket: string): StoreCall | undefined {
    return this.#calls.get(ticket) ?? this.#late.get(ticket);
  }

  /** The first result is the answer; without effect once the caller has given up. */
  settle(ticket: string, result: StoreResult): void {
    if (this.#calls.has(ticket) && !this.#results.has(ticket)) this.#results.set(ticket, result);
  }

  /** Ends a call. A write without an answer may still be on its way: it is stored when it arrives. */
  close(ticket: string): StoreResult {
    const call = this.#calls.get(ticket);
    const result = this.#results.get(ticket);
    this.#calls.delete(ticket);
    this.#results.delete(ticket);
    if (result === undefined && call?.verb === "write") this.#given(ticket, call);
    return result ?? {};
  }

  #given(ticket: string, call: StoreCall): void {
    this.#late.set(ticket, call);
    const [oldest = ticket] = this.#late.keys();
    if (this.#late.size > lateMax) this.#late.delete(oldest);
  }
}
