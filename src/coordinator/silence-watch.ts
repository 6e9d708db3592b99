import { isCalm, livenessWindowMs, reportIntervalMs, type Silence } from "../../machines/liveness.js";
import type { Clock } from "../base/ports.js";

/** A look this much later than it was due means that this process itself stood still. */
const stallFactor = 2;

/**
 * Hears who reports and notices who does not. Instances are kept in the order in which they were last heard, so
 * that a look costs only what is overdue, however large the fleet is.
 */
export class SilenceWatch {
  readonly #clock: Clock;
  readonly #onSilent: (instance: string) => void;
  readonly #onLook: () => void;
  /** Monotonic time of the last report, the longest unheard first. */
  readonly #heard = new Map<string, number>();
  /** Silent instances by the monotonic time at which they were found silent. */
  readonly #silent = new Map<string, number>();
  #calmSinceMs: number | null = null;
  #lookedAtMs: number;
  #timer: { cancel(): void } | undefined;

  constructor(clock: Clock, onSilent: (instance: string) => void, onLook: () => void) {
    this.#clock = clock;
    this.#onSilent = onSilent;
    this.#onLook = onLook;
    this.#lookedAtMs = clock.monotonicMs();
  }

  start(): void {
    this.startAfresh();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  get intervalMs(): number {
    return reportIntervalMs(this.#heard.size);
  }

  hear(instance: string): void {
    this.#heard.delete(instance);
    this.#heard.set(instance, this.#clock.monotonicMs());
    this.#silent.delete(instance);
  }

  forget(instance: string): void {
    this.#heard.delete(instance);
    this.#silent.delete(instance);
  }

  /** How long ago it was heard, or taken over; `null` if neither. */
  heardAgoMs(instance: string): number | null {
    const heardAtMs = this.#heard.get(instance);
    return heardAtMs === undefined ? null : this.#clock.monotonicMs() - heardAtMs;
  }

  /** Nobody is judged by what this process could not hear: after a takeover, a reconnect, a stall of its own. */
  startAfresh(): void {
    const now = this.#clock.monotonicMs();
    for (const instance of [...this.#heard.keys()]) this.#heard.set(instance, now);
    this.#lookedAtMs = now;
  }

  /** How silent the fleet is but for the instances in flight, in terms of a time of the caller's. */
  silence(nowMs: number, isInFlight: (instance: string) => boolean, inFlight: number): Silence {
    const now = this.#clock.monotonicMs();
    const windowMs = livenessWindowMs(this.intervalMs);
    let silent = 0;
    let newlySilent = 0;
    for (const [instance, sinceMs] of this.#silent) {
      if (isInFlight(instance)) continue;
      silent++;
      if (now - sinceMs <= windowMs) newlySilent++;
    }
    const calmSinceMs = this.#calmSinceMs === null ? null : nowMs - (now - this.#calmSinceMs);
    return { others: Math.max(0, this.#heard.size - inFlight), silent, newlySilent, calmSinceMs, windowMs };
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.intervalMs / 2, () => {
      this.#look();
      this.#arm();
    });
  }

  #look(): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#lookedAtMs > this.intervalMs * stallFactor) this.startAfresh();
    this.#lookedAtMs = now;
    const windowMs = livenessWindowMs(this.intervalMs);
    for (const [instance, heardAtMs] of this.#heard) {
      if (now - heardAtMs < windowMs) break;
      if (this.#silent.has(instance)) continue;
      this.#silent.set(instance, now);
      this.#onSilent(instance);
    }
    const calm = isCalm({ others: this.#heard.size, silent: this.#silent.size });
    this.#calmSinceMs = calm ? (this.#calmSinceMs ?? now) : null;
    this.#onLook();
  }
}
