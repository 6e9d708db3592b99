import { assert } from "../base/assert.js";
import type { Clock, Timer } from "../base/ports.js";
import { TimerHeap } from "./timer-heap.js";

/** Virtual time begins here unless told otherwise, so that a replay prints the same stamps. */
const defaultStartMs = Date.UTC(2030, 0, 1);

/** Timers that may fire without time going on; more is a loop of zero delays. */
const firedAtOnceMax = 1_000_000;

/** Timers that fire, each after all before it has settled, before the event loop turns. */
const firedPerTurnMax = 64;

/**
 * Time that moves only when told to. Timers fire in the order of their deadlines (equal ones in the
 * order of setting), each at exactly its deadline, and what a timer set off (promise chains, further
 * timers) settles before the next one fires: the same program gives the same run.
 *
 * Only what waits for virtual timers and promises settles; real I/O does not.
 */
export interface VirtualClock extends Clock {
  /** Timers that are set and have neither fired nor been cancelled. */
  readonly pending: number;
  /** When the next timer is due, in the time of `nowMs`; `undefined` if none is set. */
  readonly nextDueMs: number | undefined;
  /** Lets `byMs` pass. Rejects with what a timer threw. */
  advance(byMs: number): Promise<void>;
  /** Lets time pass until `nowMs()` is `ms`. */
  advanceTo(ms: number): Promise<void>;
  /**
   * Fires timer after timer until `condition` holds, which is asked before the first and after each.
   * @throws Error when it does not hold after `limitMs` of virtual time
   */
  runUntil(condition: () => boolean, options: { limitMs: number }): Promise<void>;
  /** Lets promise chains settle without time passing. */
  settle(): Promise<void>;
}

/**
 * A clock for tests and simulation.
 *
 * @example
 * const clock = createVirtualClock();
 * clock.setTimer(1_000, () => console.log("a second later"));
 * await clock.advance(1_000);
 */
export function createVirtualClock(options: { startMs?: number } = {}): VirtualClock {
  return new HeapClock(options.startMs ?? defaultStartMs);
}

class HeapClock implements VirtualClock {
  readonly #startMs: number;
  readonly #heap = new TimerHeap();
  #elapsedMs = 0;
  #running = false;
  #firedAtOnce = 0;

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  get pending(): number {
    return this.#heap.size;
  }

  get nextDueMs(): number | undefined {
    const next = this.#heap.peek();
    return next === undefined ? undefined : this.#startMs + next.dueMs;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    assert(Number.isFinite(delayMs), "the delay of a timer is a number of milliseconds");
    const timer = this.#heap.add(this.#elapsedMs + Math.max(0, delayMs), fire);
    return { cancel: () => this.#heap.remove(timer) };
  }

  advance(byMs: number): Promise<void> {
    assert(byMs >= 0, "time does not go back");
    return this.#run(this.#elapsedMs + byMs, () => false).then(() => undefined);
  }

  advanceTo(ms: number): Promise<void> {
    return this.advance(ms - this.nowMs());
  }

  async runUntil(condition: () => boolean, { limitMs }: { limitMs: number }): Promise<void> {
    const held = await this.#run(this.#elapsedMs + limitMs, condition);
    if (!held)
      throw new Error(
        `the condition does not hold after ${limitMs} ms of virtual time; ${this.pending} timers are pending`,
      );
  }

  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async #run(untilMs: number, enough: () => boolean): Promise<boolean> {
    assert(!this.#running, "only one caller at a time moves virtual time");
    this.#running = true;
    this.#firedAtOnce = 0;
    try {
      return await this.#fireUntil(untilMs, enough);
    } finally {
      this.#running = false;
    }
  }

  #fireUntil(untilMs: number, enough: () => boolean): Promise<boolean> {
    return eachSettled(() => {
      if (enough()) return true;
      const timer = this.#heap.peek();
      if (timer === undefined || timer.dueMs > untilMs) {
        this.#elapsedMs = untilMs;
        return enough();
      }
      this.#firedAtOnce = timer.dueMs > this.#elapsedMs ? 0 : this.#firedAtOnce + 1;
      assert(
        this.#firedAtOnce <= firedAtOnceMax,
        () => `${firedAtOnceMax} timers fired without time going on`,
      );
      this.#elapsedMs = timer.dueMs;
      this.#heap.remove(timer);
      timer.fire();
      return undefined;
    });
  }
}

/**
 * Takes steps until one has a result. Before each, promise chains settle: so they do between two immediates, also of those that
 * one turn of the event loop runs, which is dear.
 */
function eachSettled<T>(step: () => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = 0;
    let perTurn = 1;
    let isOver = false;
    const settle = (how: () => void): void => {
      isOver = true;
      how();
    };
    const next = (): void => {
      left--;
      if (isOver) return;
      try {
        const result = step();
        if (result !== undefined) settle(() => resolve(result));
      } catch (error) {
        settle(() => reject(error));
      }
      if (left === 0 && !isOver) turn();
    };
    const turn = (): void => {
      left = perTurn;
      for (let count = 0; count < left; count++) setImmediate(next);
      perTurn = Math.min(firedPerTurnMax, perTurn * 2);
    };
    turn();
  });
}
