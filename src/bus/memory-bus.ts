import { assert } from "../base/assert.js";
import type { Clock, Log, Subscription } from "../base/ports.js";
import type { Listener, Sent } from "./memory-connection.js";
import { MemoryBus } from "./memory-connection.js";
import { SubjectTree } from "./subject-tree.js";

/** What a fault may look at: one message on its way to one receiver. */
export interface Delivery {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly data: Uint8Array;
}

type Which = (delivery: Delivery) => boolean;

/** One message as it goes out, the same object at each moment in which it is seen. */
export interface Passing {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly data: Uint8Array;
}

/** Sees all that is sent, whatever faults make of it. It may close connections: a sender that ended has sent nothing. */
export interface Tap {
  /** It is about to be sent. */
  sending?(passing: Passing): void;
  /** It is on its way. */
  sent?(passing: Passing): void;
  /** One receiver is about to take it. */
  taking?(passing: Passing, by: string): void;
  /** One receiver has taken it. */
  taken?(passing: Passing, by: string): void;
}

/** How a process connects. */
export interface ConnectOptions {
  readonly log?: Log;
  readonly clock?: Clock;
  /** It is a part of the server: there as soon as the server is, and never too slow for it. */
  readonly isServer?: boolean;
}

/** All processes of a test or a simulation, and what goes wrong between them. */
export interface MemoryHub {
  /**
   * The connection of one process. `name` must be free: never used, or closed.
   * @param options `clock` the process's own, if it has one: what comes to it while it stands still waits
   */
  connect(name: string, options?: ConnectOptions): MemoryBus;
  /** Cuts a process off: what it sends, what is sent to it and what is on its way to it is lost without an error. */
  disconnect(name: string): void;
  /** Whether a living process has the name. */
  knows(name: string): boolean;
  reconnect(name: string): void;
  /** Loses the deliveries that `which` names, until unsubscribed. */
  drop(which: Which): Subscription;
  /** Delivers them twice. */
  duplicate(which: Which): Subscription;
  /** Delivers them later by `delayMs`, so behind what is sent after them. */
  delay(delayMs: number | (() => number), which: Which): Subscription;
  /**
   * The server is gone, and with it all connections and what is on its way, until unsubscribed. Then each process is
   * connected again so long afterwards, by its own clock; at once unless told.
   */
  stop(reconnectMs?: (name: string) => number): Subscription;
  /**
   * While it lasts the server cuts off whom more than `pendingMax` messages wait for, as it does with a slow consumer: all of
   * them are lost (a burst of so many counts too). The process connects again `reconnectMs` later, by its own clock, so not before it runs again.
   */
  cutSlow(options: { readonly pendingMax: number; readonly reconnectMs: number }): Subscription;
  /** Shows every message that somebody listens to, until unsubscribed. */
  tap(tap: Tap): Subscription;
  /** Messages delivered so far. */
  readonly delivered: number;
}

/**
 * Messages in memory, as NATS carries them: at most once, in order from one sender to one receiver, never synchronous.
 *
 * What is lost on a link is lost by `drop`: to one process, from it, or between groups of them, which is a cluster cut in
 * two. Nobody notices that; who is to notice is disconnected too. NATS neither doubles messages nor changes their order within
 * a connection: `duplicate` and `delay` stand for what repeats and reconnects of clients make of them, and do more than
 * those could.
 *
 * Not in the model: what a socket still holds of a connection that is cut (it may arrive; here it is lost); the server's
 * pings, by which it notices in time that a process is gone (disconnect who stands still for minutes); the time that a
 * subscription takes to be known everywhere in a cluster (`drop` for a while what is sent to who has just reconnected);
 * permissions.
 *
 * @example
 * const hub = createMemoryBus(clock);
 * const coordinator = hub.connect("coordinator-1");
 * const agent = hub.connect("agent-1");
 */
export function createMemoryBus(clock: Clock, options: { latencyMs?: number } = {}): MemoryHub {
  return new Hub(clock, options.latencyMs ?? 0);
}

class Hub implements MemoryHub {
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #buses = new Map<string, MemoryBus>();
  readonly #listeners = new SubjectTree<Listener>();
  readonly #drops = new Set<Which>();
  readonly #duplicates = new Set<Which>();
  readonly #delays = new Set<{ readonly delayMs: number | (() => number); readonly which: Which }>();
  readonly #taps = new Set<Tap>();
  readonly #slowness = new Set<{ readonly pendingMax: number; readonly reconnectMs: number }>();
  /** What stops the server. */
  readonly #stops = new Set<object>();
  /** Whose turn it is in each queue group. */
  readonly #turns = new Map<string, number>();
  #delivered = 0;

  constructor(clock: Clock, latencyMs: number) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
  }

  get delivered(): number {
    return this.#delivered;
  }

  connect(name: string, options: ConnectOptions = {}): MemoryBus {
    assert(!this.#buses.has(name), `no living process has the name ${name}`);
    const bus = new MemoryBus({
      name,
      isServer: options.isServer ?? false,
      cutBy: this.#stops.size > 0 ? ["server"] : [],
      clock: options.clock ?? this.#clock,
      log: options.log,
      latencyMs: this.#latencyMs,
      send: (from, subject, make) => this.#send(from, subject, make),
      listen: (listener) => this.#listen(listener),
      forget: () => this.#buses.delete(name),
    });
    this.#buses.set(name, bus);
    return bus;
  }

  disconnect(name: string): void {
    this.#busOf(name).cut("itself");
  }

  reconnect(name: string): void {
    this.#busOf(name).mend("itself");
  }

  knows(name: string): boolean {
    return this.#buses.has(name);
  }

  drop(which: Which): Subscription {
    return entered(this.#drops, which);
  }

  duplicate(which: Which): Subscription {
    return entered(this.#duplicates, which);
  }

  delay(delayMs: number | (() => number), which: Which): Subscription {
    return entered(this.#delays, { delayMs, which });
  }

  stop(reconnectMs: (name: string) => number = () => 0): Subscription {
    const stop = {};
    this.#stops.add(stop);
    for (const bus of this.#buses.values()) bus.cut("server");
    return {
      unsubscribe: () => {
        if (!this.#stops.delete(stop) || this.#stops.size > 0) return;
        for (const bus of this.#buses.values())
          if (bus.isServer) bus.mend("server");
          else bus.clock.setTimer(reconnectMs(bus.name), () => this.#serverIsBack(bus));
      },
    };
  }

  /** Unless it is gone again. */
  #serverIsBack(bus: MemoryBus): void {
    if (this.#stops.size === 0) bus.mend("server");
  }

  cutSlow(options: { readonly pendingMax: number; readonly reconnectMs: number }): Subscription {
    return entered(this.#slowness, { ...options });
  }

  tap(tap: Tap): Subscription {
    return entered(this.#taps, tap);
  }

  #listen(listener: Listener): Subscription {
    this.#listeners.add(listener.pattern, listener);
    return {
      unsubscribe: () => {
        listener.open = false;
        this.#listeners.remove(listener.pattern, listener);
      },
    };
  }

  /** Sends to all who listen now. @returns how many that are */
  #send(from: MemoryBus, subject: string, make: () => Sent): number {
    const receivers = this.#receiversOf(subject);
    // Most of what is sent are events to which nobody listens.
    if (receivers.length === 0 && this.#taps.size === 0) return 0;
    const message = make();
    const passing = this.#taps.size === 0 ? undefined : passingOf(message, receivers);
    if (passing !== undefined) for (const tap of this.#taps) tap.sending?.(passing);
    if (!from.connected) return 0;
    for (const listener of receivers) this.#dispatch(message, listener, passing);
    if (passing !== undefined) for (const tap of this.#taps) tap.sent?.(passing);
    return receivers.length;
  }

  #receiversOf(subject: string): Listener[] {
    const receivers: Listener[] = [];
    let groups: Map<string, Listener[]> | undefined;
    for (const listener of this.#listeners.match(subject)) {
      if (!listener.bus.connected) continue;
      if (listener.queue === undefined) receivers.push(listener);
      else {
        groups ??= new Map();
        groups.set(listener.queue, [...(groups.get(listener.queue) ?? []), listener]);
      }
    }
    for (const [queue, members] of groups ?? []) {
      const turn = this.#turns.get(queue) ?? 0;
      this.#turns.set(queue, turn + 1);
      const chosen = members[turn % members.length];
      if (chosen !== undefined) receivers.push(chosen);
    }
    return receivers;
  }

  #dispatch(message: Sent, listener: Listener, passing: Passing | undefined): void {
    const delivery: Delivery = {
      from: message.from.name,
      to: listener.bus.name,
      subject: message.subject,
      data: message.data,
    };
    if (anyOf(this.#drops, delivery)) return;
    let delayMs = this.#latencyMs;
    for (const delay of this.#delays)
      if (delay.which(delivery))
        delayMs += typeof delay.delayMs === "number" ? delay.delayMs : delay.delayMs();
    const copies = anyOf(this.#duplicates, delivery) ? 2 : 1;
    const { bus } = listener;
    const { connection } = bus;
    for (let copy = 0; copy < copies; copy++) {
      bus.pending++;
      bus.clock.setTimer(delayMs, () => {
        if (bus.connection !== connection) return;
        bus.pending--;
        this.#deliver(message, listener, passing);
      });
    }
    this.#cutIfSlow(bus);
  }

  #cutIfSlow(bus: MemoryBus): void {
    for (const { pendingMax, reconnectMs } of this.#slowness) {
      if (bus.isServer || bus.pending <= pendingMax) continue;
      bus.cut("slowness");
      bus.clock.setTimer(reconnectMs, () => bus.mend("slowness"));
    }
  }

  #deliver(message: Sent, listener: Listener, passing: Passing | undefined): void {
    if (!listener.open || !listener.bus.connected) return;
    this.#delivered++;
    if (passing !== undefined) for (const tap of this.#taps) tap.taking?.(passing, listener.bus.name);
    listener.bus.receive(message, listener);
    if (passing !== undefined) for (const tap of this.#taps) tap.taken?.(passing, listener.bus.name);
  }

  #busOf(name: string): MemoryBus {
    const bus = this.#buses.get(name);
    assert(bus !== undefined, `a living process has the name ${name}`);
    return bus;
  }
}

function entered<T>(set: Set<T>, item: T): Subscription {
  set.add(item);
  return { unsubscribe: () => void set.delete(item) };
}

function passingOf({ from, subject, data }: Sent, receivers: readonly Listener[]): Passing {
  return { from: from.name, to: receivers.map(({ bus }) => bus.name), subject, data };
}

function anyOf(faults: ReadonlySet<Which>, delivery: Delivery): boolean {
  for (const which of faults) if (which(delivery)) return true;
  return false;
}
