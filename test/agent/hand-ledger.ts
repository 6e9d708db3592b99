import type { Clock, LedgerEntry, LedgerReader, Subscription } from "../../src/base/ports.js";
import { refusal } from "../../src/contracts/errors.js";

const latencyMs = 2;

/** A ledger that a test writes by hand, without a coordinator; what is not heard is lost, as over NATS. */
export class HandLedger implements LedgerReader {
  readonly #clock: Clock;
  readonly #entries = new Map<string, LedgerEntry>();
  readonly #watchers = new Map<string, Set<(entry: LedgerEntry) => void>>();
  #revision = 0;
  /** Nothing of it is heard and nothing can be read. */
  cutOff = false;
  /** Readings never end. */
  hangs = false;
  reads = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Writes a value, or deletes the key with `undefined`; a `revision` of one's own leaves the order of the ledger. */
  put(key: string, value: unknown, revision?: number): LedgerEntry {
    this.#revision = Math.max(this.#revision + 1, revision ?? 0);
    const entry = { key, value, revision: revision ?? this.#revision, writtenAtMs: this.#clock.nowMs() };
    this.#entries.set(key, entry);
    this.deliver(entry);
    return entry;
  }

  /** Tells the watchers, without a write. */
  deliver(entry: LedgerEntry): void {
    if (this.cutOff) return;
    this.#clock.setTimer(latencyMs, () => {
      if (this.cutOff) return;
      for (const [key, handles] of this.#watchers)
        if (key === entry.key || (key.endsWith(">") && entry.key.startsWith(key.slice(0, -1))))
          for (const handle of handles) handle(entry);
    });
  }

  get(key: string): Promise<LedgerEntry | undefined> {
    this.reads++;
    if (this.hangs) return new Promise(() => undefined);
    return new Promise((resolve, reject) => {
      this.#clock.setTimer(latencyMs, () => {
        if (this.cutOff) reject(refusal("LEDGER_UNAVAILABLE", { fleet: "test", problem: "cut off" }));
        else {
          const entry = this.#entries.get(key);
          resolve(entry?.value === undefined ? undefined : entry);
        }
      });
    });
  }

  watch(key: string, handle: (entry: LedgerEntry) => void): Subscription {
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers);
    watchers.add(handle);
    return { unsubscribe: () => void watchers.delete(handle) };
  }
}
