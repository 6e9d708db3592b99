/** Slots of the first allocation, and the most that an empty queue keeps. */
const slotsMin = 4;
const slotsKeptMax = 64;

/** First in, first out, in an array that is walked around: no allocation per entry. Bounds are its owner's. */
export class RingQueue<T> {
  #slots: (T | undefined)[] = [];
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(entry: T): void {
    if (this.#size === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = entry;
    this.#size++;
  }

  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#slots[this.#head];
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const entry = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size--;
    if (this.#size === 0 && this.#slots.length > slotsKeptMax) this.clear();
    return entry;
  }

  clear(): void {
    this.#slots = [];
    this.#head = 0;
    this.#size = 0;
  }

  #grow(): void {
    const slots: (T | undefined)[] = new Array(Math.max(slotsMin, this.#slots.length * 2));
    for (let at = 0; at < this.#size; at++)
      slots[at] = this.#slots[(this.#head + at) & (this.#slots.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}
