import type { Clock, Timer } from "../base/ports.js";
import type { HostLimits } from "./limits.js";
import { RingQueue } from "./ring-queue.js";

/** Somebody who has work to do in turns. */
export interface Worker {
  /** Kept by {@link Turns}: true while it stands in the queue. */
  inQueue: boolean;
  /** It goes before all that wait, but for others of its kind. */
  readonly urgent: boolean;
  hasWork(): boolean;
  /** Does at most `max` pieces of work, fewer once the monotonic clock reads `untilMs`; returns how many. */
  work(max: number, untilMs: number): number;
}

/**
 * Gives each worker its turn, a few pieces of work at a time, and the rest of the process its turn in
 * between. Work is never done on the stack of whoever asked for it.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #limits: HostLimits;
  readonly #onQuiet: () => void;
  readonly #queue = new RingQueue<Worker>();
  readonly #urgent = new RingQueue<Worker>();
  #next: Timer | undefined;
  #working = false;
  #stopped = false;

  constructor(clock: Clock, limits: HostLimits, onQuiet: () => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#onQuiet = onQuiet;
  }

  /** True when nobody waits for a turn and none is under way. */
  get quiet(): boolean {
    return this.#waiting === 0 && !this.#working;
  }

  /** Puts a worker at the end of its queue, unless it stands in it. */
  enqueue(worker: Worker): void {
    if (worker.inQueue || this.#stopped) return;
    worker.inQueue = true;
    (worker.urgent ? this.#urgent : this.#queue).push(worker);
    if (!this.#working) this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#next?.cancel();
    this.#queue.clear();
    this.#urgent.clear();
  }

  get #waiting(): number {
    return this.#queue.size + this.#urgent.size;
  }

  #arm(): void {
    this.#next ??= this.#clock.setTimer(0, () => {
      this.#next = undefined;
      this.#turn();
    });
  }

  #turn(): void {
    this.#working = true;
    try {
      this.#work();
    } finally {
      this.#working = false;
      if (this.#waiting > 0) this.#arm();
    }
    if (this.quiet) this.#onQuiet();
  }

  #work(): void {
    const untilMs = this.#clock.monotonicMs() + this.#limits.turnMs;
    let left = this.#limits.eventsPerTurnMax;
    do {
      const worker = this.#urgent.shift() ?? this.#queue.shift();
      if (worker === undefined) return;
      worker.inQueue = false;
      left -= Math.max(1, worker.work(Math.min(left, this.#limits.eventsPerActorMax), untilMs));
      if (worker.hasWork()) this.enqueue(worker);
    } while (left > 0 && this.#clock.monotonicMs() < untilMs);
  }
}
