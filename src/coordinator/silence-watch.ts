import { isCalm, livenessWindowMs, reportIntervalMs, type Silence } from "../../machines/liveness.js";
import type { Clock, Timer } from "../base/ports.js";

/** A look this much later than it was due means that this process itself stood still. */
const stallFactor = 2;
/** An instance that was not heard for so long has left. */
const goneAfterMs = 86_400_000;

/** When an instance was heard last; of its watch alone. */
export interface Hearing {
  readonly instance: string;
  atMs: number;
}

/** What the watch asks and tells, as far as somebody wants to know. */
export interface SilenceListener {
  /** An instance has missed its reports. */
  onSilent?(instance: string): void;
  /** An instance was not heard for a day. */
  onGone?(instance: string): void;
  /** This process stood still: whatever it has not heard says nothing. Default: it starts afresh. */
  onStall?(): void;
  /** A look was taken. */
  onLook?(): void;
  /** Default: none is. */
  isInFlight?(instance: string): boolean;
  inFlightCount?(): number;
  /** When a report was left out that would have said nothing new, in monotonic time; only rehearsals leave any out. */
  unsentAtMs?(instance: string): number | undefined;
}

/**
 * Hears who reports and notices who does not. A report costs as little as can be, for there may be 10,000 in a second; a
 * look goes through all instances, some milliseconds for 100,000 of them, and only when one of them may have missed its reports.
 */
export class SilenceWatch {
  readonly #clock: Clock;
  readonly #listener: SilenceListener;
  /** Each in an object of its own, where a report changes a number in its place. */
  readonly #heard = new Map<string, Hearing>();
  /** Silent instances by the monotonic time at which they were found silent. */
  readonly #silent = new Map<string, number>();
  #calmSinceMs: number | null = null;
  #lookedAtMs: number;
  /** Before this nobody can have missed anything that was not seen, for a report only puts that off; and the window for which that holds. */
  #nextDueMs = 0;
  #dueForWindowMs = 0;
  #deaf = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, listener: SilenceListener = {}) {
    this.#clock = clock;
    this.#listener = listener;
    this.#lookedAtMs = clock.monotonicMs();
  }

  /** Without effect once it was started. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.startAfresh();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  get intervalMs(): number {
    return reportIntervalMs(this.#heard.size);
  }

  /** @returns what to give to {@link hearAgain} until the instance is forgotten */
  hear(instance: string): Hearing {
    const known = this.#heard.get(instance);
    const hearing = known ?? { instance, atMs: 0 };
    if (known === undefined) this.#heard.set(instance, hearing);
    this.hearAgain(hearing);
    return hearing;
  }

  hearAgain(hearing: Hearing): void {
    hearing.atMs = this.#clock.monotonicMs();
    if (this.#silent.size > 0) this.#silent.delete(hearing.instance);
  }

  forget(instance: string): void {
    this.#heard.delete(instance);
    this.#silent.delete(instance);
  }

  /** How long ago it was heard, or taken over; `null` if neither. */
  heardAgoMs(instance: string): number | null {
    const heard = this.#heard.get(instance);
    return heard === undefined ? null : this.#clock.monotonicMs() - heard.atMs;
  }

  /** It has missed its reports, and was not heard since. */
  isSilent(instance: string): boolean {
    return this.#silent.has(instance);
  }

  /** While this process is cut off it hears nobody, and nobody is silent for that. */
  goDeaf(): void {
    this.#deaf = true;
  }

  /**
   * Nobody is judged by what this process could not hear: after a takeover, a reconnect, a stall of its own. Who was
   * silent before stays so until a report comes.
   */
  startAfresh(): void {
    const now = this.#clock.monotonicMs();
    for (const [instance, heard] of this.#heard) if (!this.#silent.has(instance)) heard.atMs = now;
    this.#calmSinceMs = null;
    this.#lookedAtMs = now;
    this.#deaf = false;
  }

  /** How silent the fleet is but for the instances in flight; `nowMs` is in ledger time, and so is the calm. */
  silence(nowMs: number): Silence {
    const now = this.#clock.monotonicMs();
    const windowMs = livenessWindowMs(this.intervalMs);
    let newlySilent = 0;
    let silent = 0;
    for (const [instance, sinceMs] of this.#silent) {
      if (this.#listener.isInFlight?.(instance)) continue;
      silent++;
      if (now - sinceMs <= windowMs) newlySilent++;
    }
    const others = Math.max(0, this.#heard.size - (this.#listener.inFlightCount?.() ?? 0));
    const calmSinceMs = this.#calmSinceMs === null ? null : nowMs - (now - this.#calmSinceMs);
    return { others, silent, newlySilent, calmSinceMs, windowMs };
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.intervalMs / 2, () => {
      this.#arm();
      this.#look();
    });
  }

  #look(): void {
    const now = this.#clock.monotonicMs();
    const sinceMs = now - this.#lookedAtMs;
    this.#lookedAtMs = now;
    if (this.#deaf) return;
    if (sinceMs > this.intervalMs * stallFactor) {
      if (this.#listener.onStall === undefined) this.startAfresh();
      else this.#listener.onStall();
      return;
    }
    this.#findSilent(now);
    const calm = isCalm(this.silence(0));
    this.#calmSinceMs = calm ? (this.#calmSinceMs ?? now) : null;
    this.#listener.onLook?.();
  }

  #findSilent(now: number): void {
    const { intervalMs } = this;
    const windowMs = livenessWindowMs(intervalMs);
    if (now < this.#nextDueMs && windowMs >= this.#dueForWindowMs) return;
    let nextDueMs = now + windowMs;
    for (const [instance, hearing] of this.#heard) {
      if (now - hearing.atMs > intervalMs)
        hearing.atMs = Math.max(hearing.atMs, this.#listener.unsentAtMs?.(instance) ?? 0);
      nextDueMs = Math.min(nextDueMs, this.#dueOf(instance, hearing.atMs, now, windowMs));
    }
    this.#nextDueMs = nextDueMs;
    this.#dueForWindowMs = windowMs;
  }

  /** Tells what an instance has missed by now. @returns when there may be more of it to tell */
  #dueOf(instance: string, atMs: number, now: number, windowMs: number): number {
    if (now - atMs < windowMs) return atMs + windowMs;
    if (now - atMs >= goneAfterMs) this.#listener.onGone?.(instance);
    else if (!this.#silent.has(instance)) {
      this.#silent.set(instance, now);
      this.#listener.onSilent?.(instance);
    }
    return Math.max(now, atMs + goneAfterMs);
  }
}
