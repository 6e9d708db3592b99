import type { Clock } from "../../base/ports.js";
import { findFreePort, isPortFree } from "../../base-node/free-port.js";
import { refusal } from "../../contracts/errors.js";

interface Reservation {
  readonly instance: string;
  readonly atMs: number;
  /** Whether the process that was started for it runs; `undefined` while none was started. */
  isInUse: (() => boolean) | undefined;
}

/** For so long a port is kept for an instance that has not started anything for it. */
const keepMs = 120_000;
/** Free ports in a row that are kept for others. */
const triesMax = 100;

/**
 * The ports that were given to instances of this agent. A port is free for the system from the moment it was found until the
 * service listens on it; in between it must not be given to another instance.
 */
export class PortReservations {
  readonly #clock: Clock;
  readonly #reservations = new Map<number, Reservation>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws RollcallError `PORT_IN_USE`, `NO_FREE_PORT` */
  async reserve(instance: string, wanted?: number): Promise<number> {
    this.#forgetOld();
    if (wanted !== undefined) return await this.#reserveWanted(instance, wanted);
    for (let tries = 0; tries < triesMax; tries++) {
      const port = await findFreePort();
      // Another call may have reserved it while this one was testing it.
      if (!this.#reservations.has(port)) return this.#note(instance, port);
    }
    throw refusal("NO_FREE_PORT", {
      problem: `${triesMax} ports in a row are kept for instances that are about to start`,
    });
  }

  /** The port is now used by a process; it is kept until that one ends. */
  use(port: number, instance: string, isInUse: () => boolean): void {
    this.#reservations.set(port, { instance, atMs: this.#clock.monotonicMs(), isInUse });
  }

  async #reserveWanted(instance: string, port: number): Promise<number> {
    const taken = () => {
      const reservation = this.#reservations.get(port);
      return reservation !== undefined && reservation.instance !== instance;
    };
    if (taken() || !(await isPortFree(port)) || taken()) throw refusal("PORT_IN_USE", { port, instance });
    return this.#note(instance, port);
  }

  #note(instance: string, port: number): number {
    // An instance that asks again has not used what it got before.
    for (const [other, reservation] of this.#reservations)
      if (reservation.instance === instance && reservation.isInUse === undefined)
        this.#reservations.delete(other);
    this.#reservations.set(port, { instance, atMs: this.#clock.monotonicMs(), isInUse: undefined });
    return port;
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [port, { atMs, isInUse }] of this.#reservations) {
      const isOver = isInUse === undefined ? nowMs - atMs > keepMs : !isInUse();
      if (isOver) this.#reservations.delete(port);
    }
  }
}
