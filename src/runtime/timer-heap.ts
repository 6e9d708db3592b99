import { assert } from "../base/assert.js";

/** A timer in a {@link TimerHeap}; `place` is where it stands, -1 once it is out. */
export interface HeapTimer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly fire: () => void;
  place: number;
}

/** Timers by (deadline, order of setting). Cancelled ones leave at once, so that its size is what is pending. */
export class TimerHeap {
  readonly #timers: HeapTimer[] = [];
  #sequence = 0;

  get size(): number {
    return this.#timers.length;
  }

  peek(): HeapTimer | undefined {
    return this.#timers[0];
  }

  add(dueMs: number, fire: () => void): HeapTimer {
    const timer: HeapTimer = { dueMs, sequence: this.#sequence++, fire, place: this.#timers.length };
    this.#timers.push(timer);
    this.#rise(timer);
    return timer;
  }

  /** Takes a timer out; without effect if it is out already. */
  remove(timer: HeapTimer): void {
    const place = timer.place;
    if (place < 0) return;
    assert(this.#timers[place] === timer, "a timer stands where it says");
    const last = this.#timers.pop();
    timer.place = -1;
    if (last === undefined || last === timer) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #put(timer: HeapTimer, place: number): void {
    this.#timers[place] = timer;
    timer.place = place;
  }

  #rise(timer: HeapTimer): void {
    while (timer.place > 0) {
      const above = this.#timers[(timer.place - 1) >> 1];
      if (above === undefined || isBefore(above, timer)) return;
      const place = above.place;
      this.#put(above, timer.place);
      this.#put(timer, place);
    }
  }

  #sink(timer: HeapTimer): void {
    for (;;) {
      const left = this.#timers[2 * timer.place + 1];
      const right = this.#timers[2 * timer.place + 2];
      const below = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
      if (below === undefined || isBefore(timer, below)) return;
      const place = below.place;
      this.#put(below, timer.place);
      this.#put(timer, place);
    }
  }
}

function isBefore(one: HeapTimer, other: HeapTimer): boolean {
  return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.sequence < other.sequence);
}
