import { assert } from "../base/assert.js";
import type { Clock, Timer } from "../base/ports.js";

/** More is no clock of a computer any more; real ones are off by less than 500. */
const driftMaxPpm = 100_000;

/**
 * The clock of one process on a computer of its own: it dies and stands still with it, while time goes on for the others;
 * it may go too fast or too slow, and its wall clock may be put to another time. Timers run by its own monotonic time.
 *
 * @example
 * const clock = new NodeClock(world.clock, { driftPpm: 200 });
 * const agent = createAgent({ clock, ... }, options);
 * clock.stepWall(-3_600_000);
 */
export class NodeClock implements Clock {
  readonly #clock: Clock;
  readonly #drift: number;
  readonly #sinceMs: number;
  #steppedMs = 0;
  /** When the newest timer was due: whoever it calls finds it to be that late at least, whatever was rounded. */
  #reachedMs = Number.NEGATIVE_INFINITY;
  #stoodFromMs = 0;
  #standsUntilMs = 0;
  #dead = false;

  /** `driftPpm`: milliseconds that it gains (below zero: loses) in 1,000 seconds, from now on. */
  constructor(clock: Clock, { driftPpm = 0 }: { readonly driftPpm?: number } = {}) {
    assert(Math.abs(driftPpm) <= driftMaxPpm, `a clock drifts by ${driftMaxPpm} ppm at most`);
    this.#clock = clock;
    this.#drift = driftPpm / 1_000_000;
    this.#sinceMs = clock.monotonicMs();
  }

  nowMs(): number {
    return this.#clock.nowMs() + Math.round(this.#driftedMs()) + this.#steppedMs;
  }

  monotonicMs(): number {
    return Math.max(this.#reachedMs, this.#clock.monotonicMs() + this.#driftedMs());
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const dueMs = this.monotonicMs() + delayMs;
    let cancelled = false;
    const ring = (): void => {
      if (this.#dead || cancelled) return;
      const stillMs = this.#standsUntilMs - this.#clock.monotonicMs();
      if (stillMs > 0) {
        timer = this.#clock.setTimer(stillMs, ring);
        return;
      }
      this.#reachedMs = Math.max(this.#reachedMs, dueMs);
      fire();
    };
    let timer = this.#clock.setTimer(delayMs / (1 + this.#drift), ring);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /** Puts the wall clock forward, or back; monotonic time and timers do not notice. */
  stepWall(byMs: number): void {
    this.#steppedMs += byMs;
  }

  /** Nothing happens in the process any more. */
  die(): void {
    this.#dead = true;
  }

  /** Nothing happens in the process for so long, by the time of the others; then all that was due happens at once. */
  stall(forMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#standsUntilMs) this.#stoodFromMs = nowMs;
    this.#standsUntilMs = Math.max(this.#standsUntilMs, nowMs + forMs);
  }

  /** When it stood still last, by the monotonic time of the others. */
  get stood(): { readonly fromMs: number; readonly untilMs: number } {
    return { fromMs: this.#stoodFromMs, untilMs: this.#standsUntilMs };
  }

  #driftedMs(): number {
    return (this.#clock.monotonicMs() - this.#sinceMs) * this.#drift;
  }
}
