import type { RecordStore } from "../base/ports.js";

interface Write {
  record: unknown;
  text: string;
  readonly done: Promise<void>;
}

/**
 * Writes the record of one actor. Writes never overtake each other; while one is under way only the newest of those
 * that wait is written, for all of them. What is written already is not written again.
 */
export class JournalWriter {
  readonly #store: RecordStore;
  readonly #kind: string;
  readonly #id: string;
  #saved: unknown;
  #savedText: string | undefined;
  #underWay: Write | undefined;
  #waiting: Write | undefined;

  constructor(store: RecordStore, kind: string, id: string, saved: unknown) {
    this.#store = store;
    this.#kind = kind;
    this.#id = id;
    this.#saved = saved;
    this.#savedText = saved === undefined ? undefined : JSON.stringify(saved);
  }

  /** The newest record that is known to be written. */
  get saved(): unknown {
    return this.#saved;
  }

  /** Resolves when this record, or a newer one, is written. @throws what the store throws */
  save(record: unknown): Promise<void> {
    const text = JSON.stringify(record);
    if (this.#waiting !== undefined) {
      this.#waiting.record = record;
      this.#waiting.text = text;
      return this.#waiting.done;
    }
    if (this.#underWay !== undefined) {
      if (this.#underWay.text === text) return this.#underWay.done;
      const after = this.#underWay.done;
      this.#waiting = { record, text, done: after.then(() => this.#begin()) };
      return this.#waiting.done;
    }
    if (text === this.#savedText) return Promise.resolve();
    this.#underWay = { record, text, done: this.#write(record, text) };
    return this.#underWay.done;
  }

  #begin(): Promise<void> {
    const next = this.#waiting;
    this.#waiting = undefined;
    if (next === undefined) return Promise.resolve();
    this.#underWay = next;
    return this.#write(next.record, next.text);
  }

  async #write(record: unknown, text: string): Promise<void> {
    try {
      // In a later turn, so that `#underWay` is set before it can be cleared.
      await Promise.resolve();
      await this.#store.save(this.#kind, this.#id, record);
      this.#saved = record;
      this.#savedText = text;
    } finally {
      this.#underWay = undefined;
    }
  }
}
