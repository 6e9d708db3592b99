import type { Bus, Ledger, Log } from "../base/ports.js";
import { createMemoryBus, type MemoryHub } from "../bus/memory-bus.js";
import type { MemoryBus } from "../bus/memory-connection.js";
import {
  type ControlPlane,
  type EndpointName,
  endpoints,
  type ParsedRequestOf,
  type ReplyOf,
  type RequestOf,
} from "../contracts/api.js";
import { createCoordinator } from "../coordinator/coordinator.js";
import type { Coordinator } from "../coordinator/coordinator-ports.js";
import type { UnsentReports } from "../coordinator/leader.js";
import { createMemoryLedgerStore, type MemoryLedgerStore } from "../ledger/memory-ledger.js";
import type { ActorHost } from "../runtime/actor.js";
import { createActorHost } from "../runtime/actor-host.js";
import { createSeededRandom, type SeededRandom } from "../runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../runtime/virtual-clock.js";
import { quietLog } from "./quiet-log.js";
import { type CommitListener, watchedLedger } from "./watched-ledger.js";

/** A coordinator of a simulated fleet, and what it runs on. */
export interface SimulatedCoordinator {
  readonly coordinator: Coordinator;
  readonly host: ActorHost;
  readonly bus: Bus;
}

export interface CoordinatorSettings {
  readonly leaseMs: number;
  /** Sees every batch that this coordinator writes. */
  readonly onCommit?: CommitListener;
  readonly unsentAtMs?: UnsentReports;
  /** Of its host; live actors unless told. */
  readonly machinesAs?: "actors" | "states";
}

/** Between two reconciliations: stand-ins have no hosts that could need one. */
const neverMs = 365 * 86_400_000;
/** How long a simulated answer may take, in virtual time. */
const answerMaxMs = 60_000;
const untilLedMaxMs = 60_000;

/**
 * The ground under a simulated fleet: one virtual clock, messages and a ledger in memory, and streams of randomness by
 * label. Coordinators and agents come from `createCoordinator` and `createAgent`, with these as their ports.
 */
export class SimulatedWorld {
  readonly fleet: string;
  readonly clock: VirtualClock;
  readonly hub: MemoryHub;
  readonly store: MemoryLedgerStore;
  readonly random: SeededRandom;
  readonly log: Log;

  /**
   * @param options `syncAlways`: of the ledger's server, default true; `auditMax`: events that its audit stream keeps, by default as
   *   many as one holds in a test; `startMs`: when virtual time begins
   */
  constructor(options: {
    seed: number | string;
    fleet?: string;
    log?: Log;
    syncAlways?: boolean;
    auditMax?: number;
    startMs?: number;
  }) {
    const { startMs, auditMax } = options;
    this.clock = createVirtualClock(startMs === undefined ? {} : { startMs });
    this.fleet = options.fleet ?? "default";
    this.random = createSeededRandom(options.seed);
    this.log = options.log ?? quietLog;
    this.hub = createMemoryBus(this.clock);
    this.store = createMemoryLedgerStore({
      clock: this.clock,
      random: this.random.fork("ledger"),
      log: this.log,
      hub: this.hub,
      syncAlways: options.syncAlways ?? true,
      ...(auditMax !== undefined && { auditMax }),
    });
  }

  /** The ledger, as a process of its own would open it. */
  openLedger(bus: MemoryBus): Promise<Ledger> {
    const { fleet, log } = this;
    return this.during(this.store.open({ fleet, bus, log }));
  }

  /** Starts a coordinator and lets time pass until it leads. */
  async startCoordinator(name: string, settings: CoordinatorSettings): Promise<SimulatedCoordinator> {
    const { fleet, clock, log } = this;
    const { leaseMs, onCommit, unsentAtMs, machinesAs = "actors" } = settings;
    const random = this.random.fork(name);
    const bus = this.hub.connect(name);
    const opened = await this.openLedger(bus);
    const ledger = onCommit === undefined ? opened : watchedLedger(opened, onCommit);
    const host = createActorHost({ node: name, clock, random, log, machinesAs });
    const coordinator = createCoordinator(
      { clock, random, log, bus, ledger, host, ...(unsentAtMs && { unsentAtMs }) },
      { fleet, name, leaseMs, version: "simulated", node: "simulated", reconcileEveryMs: neverMs },
    );
    coordinator.start();
    await this.clock.runUntil(() => coordinator.leads(), { limitMs: untilLedMaxMs });
    return { coordinator, host, bus };
  }

  /** Has a coordinator hand over and end, as by SIGTERM. */
  async stopCoordinator({ coordinator, host, bus }: SimulatedCoordinator): Promise<void> {
    await this.during(coordinator.stop());
    host.stop();
    await this.during(bus.close());
  }

  /** Calls an endpoint as the API would: the request is parsed first. Time passes until the answer comes. */
  call<E extends EndpointName>(plane: ControlPlane, name: E, request: RequestOf<E>): Promise<ReplyOf<E>> {
    return this.during(this.ask(plane, name, request));
  }

  /** The same without letting time pass. */
  ask<E extends EndpointName>(plane: ControlPlane, name: E, request: RequestOf<E>): Promise<ReplyOf<E>> {
    const answer = plane[name] as (request: ParsedRequestOf<E>) => Promise<ReplyOf<E>>;
    return answer(endpoints[name].request.parse(request) as ParsedRequestOf<E>);
  }

  /** Lets time pass until the promise is settled. */
  async during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    await this.clock.runUntil(() => settled, { limitMs: answerMaxMs });
    return done;
  }
}
