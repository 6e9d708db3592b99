import type { Clock, RecordStore } from "../../base/ports.js";
import { refusal } from "../../contracts/errors.js";

interface Draft {
  readonly kind: string;
  readonly id: string;
  readonly text: string;
}

/**
 * Records in memory; they outlive the agent, as files do. What is kept is a copy, as it would be on disk. A record is replaced
 * whole and synced before its write is answered: only of a write under way is it open whether the old one is there or the new.
 * (Not in the model: disks that say "synced" and have not.)
 */
export class MemoryRecords implements RecordStore {
  readonly #records = new Map<string, Map<string, string>>();
  readonly #clock: Clock;
  readonly #saveMs: number;
  readonly #drafts = new Set<Draft>();
  #slowMs = 0;
  #full = false;
  #saved = 0;
  #refused = 0;
  /** Counts the agents that have written here. */
  #life = 0;

  /** `saveMs`: how long a write takes. */
  constructor(clock: Clock, saveMs: number) {
    this.#clock = clock;
    this.#saveMs = saveMs;
  }

  /** Writes so far. */
  get saved(): number {
    return this.#saved;
  }

  /** Writes that found no room so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Writes that are not on the disk yet. */
  get underWay(): number {
    return this.#drafts.size;
  }

  /** Whoever writes is killed: what is being written is lost, and what was written before is kept. */
  crash(): void {
    this.#life++;
    this.#drafts.clear();
  }

  /** The machine goes down: of what is being written `isNew` says what is there afterwards, the new record or the old one. */
  reboot(isNew: () => boolean): void {
    for (const { kind, id, text } of this.#drafts) if (isNew()) this.#of(kind).set(id, text);
    this.crash();
  }

  /** Each write takes so much longer from now on. */
  slow(byMs: number): void {
    this.#slowMs = byMs;
  }

  /** The disk is full, or has room again. */
  setFull(full: boolean): void {
    this.#full = full;
  }

  /** Puts a text in place of a record, readable or not. */
  plant(kind: string, id: string, record: unknown): void {
    this.#of(kind).set(id, JSON.stringify(record));
  }

  async load(kind: string): Promise<{ readonly id: string; readonly record: unknown }[]> {
    return [...this.#of(kind)].map(([id, text]) => ({ id, record: JSON.parse(text) as unknown }));
  }

  async save(kind: string, id: string, record: unknown): Promise<void> {
    const text = JSON.stringify(record);
    const tookMs = this.#saveMs + this.#slowMs;
    if (tookMs > 0) await this.#written({ kind, id, text }, tookMs);
    if (this.#full) {
      this.#refused++;
      throw refusal("DISK_FULL", { where: "memory" });
    }
    this.#saved++;
    this.#of(kind).set(id, text);
  }

  async remove(kind: string, id: string): Promise<void> {
    this.#of(kind).delete(id);
  }

  async #written(draft: Draft, tookMs: number): Promise<void> {
    const life = this.#life;
    this.#drafts.add(draft);
    await new Promise<void>((resolve) => {
      this.#clock.setTimer(tookMs, () => {
        if (life === this.#life) resolve();
      });
    });
    this.#drafts.delete(draft);
  }

  #of(kind: string): Map<string, string> {
    const found = this.#records.get(kind) ?? new Map<string, string>();
    this.#records.set(kind, found);
    return found;
  }
}
