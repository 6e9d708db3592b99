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

/** The first of a line, and the last one among them. */
interface Shown<T> {
  readonly max: number;
  readonly entries: readonly T[];
  readonly last: Place<T> | undefined;
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
  /** What was asked for last, kept up as they come and go: a new list at each change, for the one before it is somebody's. */
  #shown: Shown<T> | undefined;

  get size(): number {
    return this.#places.size;
  }

  /** Lets somebody in who is not in it. Ranks mostly grow: whoever comes with a lower one costs the next look a sorting. */
  join(name: string, entry: T, rank = 0): void {
    const place: Place<T> = { name, rank, entry, before: this.#last, after: undefined, isShown: false };
    if (this.#last !== undefined && this.#last.rank > rank) this.#isInOrder = false;
    this.#places.set(name, place);
    this.#append(place);
    if (!this.#isInOrder) this.#shown = undefined;
    else if (this.#shown !== undefined) this.#shown = filled(this.#shown.entries, this.#shown, place);
  }

  /** Without effect on somebody who is not in it. */
  leave(name: string): void {
    const place = this.#places.get(name);
    if (place === undefined) return;
    const { before, after } = place;
    if (place.isShown && this.#shown !== undefined) this.#shown = without(place, this.#shown);
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#places.delete(name);
  }

  /** The first of them, at most so many. */
  first(max: number): readonly T[] {
    if (!this.#isInOrder) this.#sort();
    if (this.#shown?.max === max) return this.#shown.entries;
    const entries: T[] = [];
    let last: Place<T> | undefined;
    for (let place = this.#first; place !== undefined && entries.length < max; place = place.after) {
      place.isShown = true;
      entries.push(place.entry);
      last = place;
    }
    this.#shown = { max, entries, last };
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

/** With the next one, where there is room for it. */
function filled<T>(entries: readonly T[], shown: Shown<T>, next: Place<T> | undefined): Shown<T> {
  const { max, last } = shown;
  if (next === undefined || entries.length >= max) return { max, entries, last };
  next.isShown = true;
  return { max, entries: [...entries, next.entry], last: next };
}

/** Without one who is still in the line. */
function without<T>(place: Place<T>, { max, entries, last }: Shown<T>): Shown<T> {
  const at = entries.indexOf(place.entry);
  if (at < 0) return { max, entries, last };
  const others = entries.toSpliced(at, 1);
  return filled(others, { max, entries: others, last: last === place ? place.before : last }, last?.after);
}
