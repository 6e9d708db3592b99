import type { Clock, RecordStore } from "../../base/ports.js";
import { refusal } from "../../contracts/errors.js";

/** Records in memory; they outlive the agent, as files do. What is kept is a copy, as it would be on disk. */
export class MemoryRecords implements RecordStore {
  readonly #records = new Map<string, Map<string, string>>();
  readonly #clock: Clock;
  readonly #saveMs: number;
  #full = false;
  #saved = 0;
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

  /** Whoever writes is killed: what is being written is lost, and what was written before is kept. */
  crash(): void {
    this.#life++;
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
    if (this.#saveMs > 0) await this.#written();
    if (this.#full) throw refusal("DISK_FULL", { where: "memory" });
    this.#saved++;
    this.#of(kind).set(id, text);
  }

  async remove(kind: string, id: string): Promise<void> {
    this.#of(kind).delete(id);
  }

  #written(): Promise<void> {
    const life = this.#life;
    return new Promise((resolve) => {
      this.#clock.setTimer(this.#saveMs, () => {
        if (life === this.#life) resolve();
      });
    });
  }

  #of(kind: string): Map<string, string> {
    const found = this.#records.get(kind) ?? new Map<string, string>();
    this.#records.set(kind, found);
    return found;
  }
}
