import type { Clock, Timer } from "../base/ports.js";
import type { ArmedTimer } from "./actor.js";

/** By how much the wall clock may disagree with the monotonic one before stored due times follow it. */
const clockStepMs = 1_000;

/** A delayed event of an actor, from its arming until it was handled or cancelled. */
export interface DelayedEvent {
  readonly id: string;
  readonly event: { readonly type: string };
  readonly dueMonotonicMs: number;
  /** The same moment by the wall clock; kept as it is as long as the two clocks agree, so that a record does not change by jitter. */
  dueAtMs: number;
  /** The clock's timer; `undefined` once it fired. */
  timer: Timer | undefined;
}

/**
 * The delayed events of one actor. They run on the monotonic clock; in a record they stand by the wall
 * clock, the only one that goes on while the process, or the machine, is off.
 *
 * An event stays armed until it was *handled*: one that fired and still waits for its turn is in a record
 * taken meanwhile, and can be cancelled.
 */
export class ArmedTimers {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #armed = new Map<string, DelayedEvent>();
  /** Fired and not yet handled, in the order of firing; may hold cancelled ones. */
  readonly #due: DelayedEvent[] = [];

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#armed.size;
  }

  /** Arms an event `delayMs` from now, in place of one with the same id. */
  arm(id: string, event: { readonly type: string }, delayMs: number): void {
    const waitMs = Math.max(0, delayMs);
    this.#add(id, event, waitMs, Math.round(this.#clock.nowMs() + waitMs));
  }

  /** Arms what was armed in a record; what is overdue is due at once, in the order of the due times. */
  restore(timers: readonly ArmedTimer[]): void {
    const nowMs = this.#clock.nowMs();
    for (const { id, event, dueAtMs } of [...timers].sort((one, other) => one.dueAtMs - other.dueAtMs)) {
      if (dueAtMs > nowMs) this.#add(id, event, dueAtMs - nowMs, dueAtMs);
      else {
        const delayed: DelayedEvent = {
          id,
          event,
          dueMonotonicMs: this.#clock.monotonicMs(),
          dueAtMs,
          timer: undefined,
        };
        this.cancel(id);
        this.#armed.set(id, delayed);
        this.#due.push(delayed);
      }
    }
    if (this.#due.length > 0) this.#onDue();
  }

  cancel(id: string): void {
    this.#armed.get(id)?.timer?.cancel();
    this.#armed.delete(id);
  }

  cancelAll(): void {
    for (const delayed of this.#armed.values()) delayed.timer?.cancel();
    this.#armed.clear();
    this.#due.length = 0;
  }

  /** The event that has been due for longest; it stays due until {@link handled}. */
  nextDue(): DelayedEvent | undefined {
    for (;;) {
      const first = this.#due[0];
      if (first === undefined || this.#armed.get(first.id) === first) return first;
      this.#due.shift();
    }
  }

  /** Takes an event out that {@link nextDue} gave. */
  handled(delayed: DelayedEvent): void {
    if (this.#due[0] === delayed) this.#due.shift();
    if (this.#armed.get(delayed.id) === delayed) this.#armed.delete(delayed.id);
  }

  /** What is armed, for a record, by due time. */
  list(): readonly ArmedTimer[] {
    const offsetMs = this.#clock.nowMs() - this.#clock.monotonicMs();
    const timers: ArmedTimer[] = [];
    for (const delayed of this.#armed.values()) {
      const dueByWallMs = delayed.dueMonotonicMs + offsetMs;
      const stepped = delayed.timer !== undefined && Math.abs(dueByWallMs - delayed.dueAtMs) > clockStepMs;
      if (stepped) delayed.dueAtMs = Math.round(dueByWallMs);
      timers.push({ id: delayed.id, event: delayed.event, dueAtMs: delayed.dueAtMs });
    }
    return timers.sort((one, other) => one.dueAtMs - other.dueAtMs);
  }

  #add(id: string, event: { readonly type: string }, waitMs: number, dueAtMs: number): void {
    this.cancel(id);
    const delayed: DelayedEvent = {
      id,
      event,
      dueMonotonicMs: this.#clock.monotonicMs() + waitMs,
      dueAtMs,
      timer: undefined,
    };
    this.#armed.set(id, delayed);
    delayed.timer = this.#clock.setTimer(waitMs, () => {
      delayed.timer = undefined;
      this.#due.push(delayed);
      this.#onDue();
    });
  }
}
