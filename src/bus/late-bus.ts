import { messageOf } from "../base/errors.js";
import type { Bus, BusMessage, BusStatus, Clock, Log, Subscription, Timer } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";

const firstWaitMs = 250;
const waitMaxMs = 10_000;

interface Wish {
  readonly subject: string;
  readonly handle: (message: BusMessage) => void;
  readonly options: { queue?: string } | undefined;
  granted: Subscription | undefined;
}

/** A bus that may not be there yet. */
export interface LateBus extends Bus {
  /** Resolves when its first try has ended, well or not: from then on it is known whether anybody can be asked. */
  readonly tried: Promise<void>;
}

/**
 * A bus whose first connection may take as long as it likes: until then it is disconnected, loses what is sent, as a
 * disconnected one does, and remembers what is subscribed. For an agent, which runs its instances with or
 * without a control plane.
 */
export function createLateBus(parts: { connect: () => Promise<Bus>; clock: Clock; log: Log }): LateBus {
  return new BusComingLate(parts);
}

class BusComingLate implements LateBus {
  readonly tried: Promise<void>;
  readonly #parts: { connect: () => Promise<Bus>; clock: Clock; log: Log };
  readonly #wishes = new Set<Wish>();
  readonly #listeners = new Set<(status: BusStatus) => void>();
  #bus: Bus | undefined;
  #retry: Timer | undefined;
  #closed = false;

  constructor(parts: { connect: () => Promise<Bus>; clock: Clock; log: Log }) {
    this.#parts = parts;
    this.tried = this.#connect(firstWaitMs);
  }

  publish(subject: string, data: Uint8Array | string, headers?: Readonly<Record<string, string>>): void {
    this.#bus?.publish(subject, data, headers);
  }

  subscribe(
    subject: string,
    handle: (message: BusMessage) => void,
    options?: { queue?: string },
  ): Subscription {
    const wish: Wish = { subject, handle, options, granted: this.#bus?.subscribe(subject, handle, options) };
    this.#wishes.add(wish);
    return {
      unsubscribe: () => {
        wish.granted?.unsubscribe();
        this.#wishes.delete(wish);
      },
    };
  }

  async request(
    subject: string,
    data: Uint8Array | string,
    options: Parameters<Bus["request"]>[2],
  ): Promise<BusMessage> {
    if (this.#bus === undefined) throw refusal("NO_RESPONDERS", { subject });
    return this.#bus.request(subject, data, options);
  }

  async requestMany(
    subject: string,
    data: Uint8Array | string,
    options: Parameters<Bus["requestMany"]>[2],
  ): Promise<BusMessage[]> {
    return this.#bus === undefined ? [] : this.#bus.requestMany(subject, data, options);
  }

  async flush(): Promise<void> {
    await this.#bus?.flush();
  }

  onStatus(listener: (status: BusStatus) => void): Subscription {
    this.#listeners.add(listener);
    return { unsubscribe: () => this.#listeners.delete(listener) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    if (this.#bus === undefined) this.#tell("closed");
    await this.#bus?.close();
  }

  async #connect(waitMs: number): Promise<void> {
    const { connect, clock, log } = this.#parts;
    let bus: Bus;
    try {
      bus = await connect();
    } catch (error) {
      if (this.#closed) return;
      log.warn({ problem: messageOf(error), againInMs: waitMs }, "NATS cannot be reached");
      this.#retry = clock.setTimer(waitMs, () => void this.#connect(Math.min(waitMs * 2, waitMaxMs)));
      return;
    }
    if (this.#closed) {
      await bus.close();
      return;
    }
    this.#bus = bus;
    bus.onStatus((status) => this.#tell(status));
    for (const wish of this.#wishes) wish.granted = bus.subscribe(wish.subject, wish.handle, wish.options);
    this.#tell("reconnected");
  }

  #tell(status: BusStatus): void {
    for (const listener of this.#listeners) listener(status);
  }
}
