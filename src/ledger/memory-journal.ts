/** What a bucket counts. */
export interface BucketCounts {
  readonly revision: number;
  readonly events: number;
}

/** One change of a bucket, with what was there before it. */
export interface BucketChange<Kept> extends BucketCounts {
  readonly atMs: number;
  /** Of each key that it touches; `undefined`: nothing. */
  readonly before: Map<string, Kept | undefined>;
  /** By which a repeat of it is recognised. */
  readonly messageId: string | undefined;
}

/**
 * The newest changes of a bucket: what it held a moment ago can be asked, and be put back. Older ones are on every disk of
 * a cluster.
 */
export class BucketJournal<Kept> {
  readonly #windowMs: number;
  readonly #changes: BucketChange<Kept>[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** What is noted from now on belongs to a new change. */
  begin(atMs: number, counts: BucketCounts, messageId?: string): void {
    while ((this.#changes[0]?.atMs ?? atMs) < atMs - this.#windowMs) this.#changes.shift();
    this.#changes.push({ atMs, ...counts, before: new Map(), messageId });
  }

  /** A key is about to change. */
  note(key: string, before: Kept | undefined): void {
    const change = this.#changes.at(-1);
    if (change?.before.has(key) === false) change.before.set(key, before);
  }

  /** What a key held at a moment; `now` is what it holds. */
  keptAt(key: string, atMs: number, now: Kept | undefined): Kept | undefined {
    let kept = now;
    for (const { before } of this.#since(atMs)) if (before.has(key)) kept = before.get(key);
    return kept;
  }

  /** Makes of what is kept now what was kept at a moment. */
  putBack(kept: Map<string, Kept>, atMs: number): void {
    for (const change of this.#since(atMs))
      for (const [key, before] of change.before)
        if (before === undefined) kept.delete(key);
        else kept.set(key, before);
  }

  /** What the bucket had counted at a moment. */
  countsAt(atMs: number, now: BucketCounts): BucketCounts {
    let counts = now;
    for (const change of this.#since(atMs)) counts = change;
    return counts;
  }

  /** Forgets what changed after a moment. @returns it */
  takeBack(atMs: number): BucketChange<Kept>[] {
    const taken = [...this.#since(atMs)];
    this.#changes.length -= taken.length;
    return taken;
  }

  /** The newest first. */
  *#since(atMs: number): Iterable<BucketChange<Kept>> {
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const change = this.#changes[at];
      if (change === undefined || change.atMs <= atMs) return;
      yield change;
    }
  }
}
