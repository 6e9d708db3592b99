/** Where somebody stands in a {@link Line}. */
interface Place<T> {
  readonly name: string;
  readonly rank: number;
  readonly entry: T;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
  /** It is, or was, among those that were looked at. */
  isShown: boolean;
}

/**
 * Who waits, by rank and, among equals, in the order of their coming. To join, to leave and to see the first few costs the same however
 * long it is: a `Map` that is left at its front keeps the gaps, and goes through them at every look.
 */
export class Line<T> {
  readonly #places = new Map<string, Place<T>>();
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #isInOrder = true;
  /** What was asked for last, as long as it is the same. */
  #shown: { readonly max: number; readonly entries: readonly T[] } | undefined;

  get size(): number {
    return this.#places.size;
  }

  /** Lets somebody in who is not in it. Ranks mostly grow: whoever comes with a lower one costs the next look a sorting. */
  join(name: string, entry: T, rank = 0): void {
    const place: Place<T> = { name, rank, entry, before: this.#last, after: undefined, isShown: false };
    if (this.#last !== undefined && this.#last.rank > rank) this.#isInOrder = false;
    if (!this.#isInOrder || (this.#shown?.entries.length ?? 0) < (this.#shown?.max ?? 0))
      this.#shown = undefined;
    this.#places.set(name, place);
    this.#append(place);
  }

  /** Without effect on somebody who is not in it. */
  leave(name: string): void {
    const place = this.#places.get(name);
    if (place === undefined) return;
    const { before, after } = place;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#places.delete(name);
    if (place.isShown) this.#shown = undefined;
  }

  /** The first of them, at most so many. */
  first(max: number): readonly T[] {
    if (!this.#isInOrder) this.#sort();
    if (this.#shown?.max === max) return this.#shown.entries;
    const entries: T[] = [];
    for (let place = this.#first; place !== undefined && entries.length < max; place = place.after) {
      place.isShown = true;
      entries.push(place.entry);
    }
    this.#shown = { max, entries };
    return entries;
  }

  #append(place: Place<T>): void {
    place.before = this.#last;
    place.after = undefined;
    if (this.#last === undefined) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
  }

  #sort(): void {
    const places: Place<T>[] = [];
    for (let place = this.#first; place !== undefined; place = place.after) places.push(place);
    places.sort((one, other) => one.rank - other.rank);
    this.#first = undefined;
    this.#last = undefined;
    for (const place of places) this.#append(place);
    this.#isInOrder = true;
  }
}
