/** Of the items of one answer, as JSON: it must fit a message of 1 MiB, whatever their texts are. */
const bytesMax = 700_000;

const encoder = new TextEncoder();

/** The items of one answer: as many as were asked for, or as fit a message. */
export class Page<T> {
  readonly items: T[] = [];
  readonly #limit: number;
  #bytes = 0;
  #isFull = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** There is more than it holds. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** @returns false if there is no room for another one, which is not made then */
  take(make: () => T): boolean {
    this.#isFull ||= this.items.length >= this.#limit || this.#bytes >= bytesMax;
    if (this.#isFull) return false;
    const item = make();
    this.#bytes += encoder.encode(JSON.stringify(item)).length;
    this.items.push(item);
    return true;
  }
}
