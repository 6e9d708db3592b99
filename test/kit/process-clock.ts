import type { Clock, Timer } from "../../src/base/ports.js";

/** The clock of one process of a test: it dies and stands still with it, while time goes on for the others. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  #standsUntilMs = 0;
  #dead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    let cancelled = false;
    const ring = (): void => {
      if (this.#dead || cancelled) return;
      const stillMs = this.#standsUntilMs - this.#clock.monotonicMs();
      if (stillMs > 0) timer = this.#clock.setTimer(stillMs, ring);
      else fire();
    };
    let timer = this.#clock.setTimer(delayMs, ring);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /** Nothing happens in the process any more. */
  die(): void {
    this.#dead = true;
  }

  /** Nothing happens in the process for so long; then all that was due happens at once. */
  stall(forMs: number): void {
    this.#standsUntilMs = this.#clock.monotonicMs() + forMs;
  }
}
