import { createClient } from "../../src/api/client.js";
import type { Client } from "../../src/api/client-types.js";
import { serveApi } from "../../src/api/service.js";
import type { Log, Random } from "../../src/base/ports.js";
import { createMemoryBus, type MemoryHub } from "../../src/bus/memory-bus.js";
import type { MemoryBus } from "../../src/bus/memory-connection.js";
import { auditPage } from "../../src/cli/run/audit-pages.js";
import {
  type ControlPlane,
  type EndpointName,
  endpoints,
  type ParsedRequestOf,
  type ReplyOf,
  type RequestOf,
} from "../../src/contracts/api.js";
import {
  currentFormats,
  type FormatRanges,
  type Formats,
  rangesOf,
} from "../../src/contracts/record-formats.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createCoordinator } from "../../src/coordinator/coordinator.js";
import type { Coordinator, CoordinatorOptions } from "../../src/coordinator/coordinator-ports.js";
import type { CoordinatorFiles } from "../../src/coordinator/reconciliation-facts.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import { createMemoryLedgerStore, type MemoryLedgerStore } from "../../src/ledger/memory-ledger.js";
import type { ActorHost } from "../../src/runtime/actor.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { NodeClock } from "../../src/simulator/node-clock.js";
import { quietLog } from "./quiet-log.js";

export const fleet = "default";
export const leaseMs = 3_000;

interface Process {
  readonly coordinator: Coordinator;
  readonly host: ActorHost;
  readonly bus: MemoryBus;
  readonly clock: NodeClock;
  readonly formats: Formats;
}

/** What coordinators are made with besides. */
export interface CoordinatorsOptions {
  readonly seed?: number;
  readonly log?: Log;
  readonly files?: CoordinatorFiles;
  readonly reconcileEveryMs?: number;
  readonly apps?: CoordinatorOptions["apps"];
  /** Of the ledger's server; default true. */
  readonly syncAlways?: boolean;
}

/** A ledger and coordinators in virtual time, that start, stop, die and stall. */
export class CoordinatorsWorld {
  readonly clock: VirtualClock = createVirtualClock();
  readonly hub: MemoryHub = createMemoryBus(this.clock);
  readonly store: MemoryLedgerStore;
  readonly random: Random;
  readonly log: Log;
  /** Asked after each virtual event: what must hold at every moment throws here when it does not. */
  readonly checks: (() => void)[] = [];
  readonly #coordinators = new Map<string, Process>();
  readonly #options: CoordinatorsOptions;

  constructor(options: CoordinatorsOptions = {}) {
    this.#options = options;
    this.random = createSeededRandom(options.seed ?? 1);
    this.log = options.log ?? quietLog;
    const { clock, random, log, hub } = this;
    const { syncAlways = true } = options;
    this.store = createMemoryLedgerStore({ clock, random, log, hub, syncAlways });
  }

  /** Serves the API of a coordinator over its own connection, as its process does. */
  serve(name: string): void {
    const { coordinator, bus, clock, formats } = this.#process(name);
    const role = () => {
      const { name: leader, epoch } = coordinator.leader();
      const { problem, role: exactly, sinceMs, doing } = coordinator.view();
      const state = { role: exactly, sinceMs, doing };
      return { leading: coordinator.leads(), epoch, leader, problem, state };
    };
    const { plane } = coordinator;
    const reads = rangesOf(formats);
    serveApi({
      bus,
      fleet,
      plane,
      knowledge: coordinator,
      node: name,
      version: "1.0.0",
      formats: reads,
      role,
      clock,
      log: this.log,
    });
  }

  /** What a program of a user has, over a connection of its own. */
  client(name: string, retries?: number): Client {
    const { clock, random, log } = this;
    return createClient({
      bus: this.hub.connect(name),
      fleet,
      clock,
      random,
      log,
      ...(retries === undefined ? {} : { retries }),
    });
  }

  async startCoordinator(
    name = "c1",
    lease: number = leaseMs,
    formats: Formats = currentFormats,
  ): Promise<Coordinator> {
    const { random, log } = this;
    const clock = new NodeClock(this.clock);
    const bus = this.hub.connect(name, { clock });
    const ledger = await this.during(this.store.open({ fleet, bus, log }));
    const host = createActorHost({ node: name, clock, random, log, bus, subjects: subjectsOf(fleet) });
    const coordinator = createCoordinator(
      {
        clock,
        random,
        log,
        bus,
        ledger,
        host,
        audit: (request) => auditPage(new AuditLog({ fleet, bus, clock }), request),
        askPeers: async () => this.#peersOf(name),
        ...(this.#options.files && { files: this.#options.files }),
      },
      {
        fleet,
        name,
        leaseMs: lease,
        version: "1.0.0",
        node: "test",
        formats,
        reconcileEveryMs: this.#options.reconcileEveryMs,
        apps: this.#options.apps,
      },
    );
    coordinator.start();
    this.#coordinators.set(name, { coordinator, host, bus, clock, formats });
    await this.advance(100);
    return coordinator;
  }

  /** The coordinators that answer one that asks: none, not even itself, while it is cut off. */
  #peersOf(asking: string): { id: string; formats: FormatRanges }[] {
    const peers = [...this.knownFormats()].map(([id, formats]) => ({ id, formats: rangesOf(formats) }));
    return peers.some(({ id }) => id === asking) ? peers : [];
  }

  /** What each coordinator that can be reached knows. */
  *knownFormats(): Iterable<readonly [name: string, Formats]> {
    for (const [name, { bus, formats }] of this.#coordinators) if (bus.connected) yield [name, formats];
  }

  /** As by SIGTERM: it hands over. */
  async stopCoordinator(name = "c1"): Promise<void> {
    const { coordinator, host, bus } = this.#process(name);
    await this.during(coordinator.stop());
    host.stop();
    await this.during(bus.close());
    this.#coordinators.delete(name);
  }

  /** As by SIGKILL: nothing happens in it any more, whatever it was doing. */
  kill(name = "c1"): void {
    const { host, bus, clock } = this.#process(name);
    clock.die();
    void bus.close();
    host.stop();
    this.#coordinators.delete(name);
  }

  /** As by SIGSTOP and SIGCONT: it does nothing for so long; what is sent to it waits. */
  stall(name: string, forMs: number): void {
    this.#process(name).clock.stall(forMs);
  }

  #process(name: string): Process {
    const found = this.#coordinators.get(name);
    if (found === undefined) throw new Error(`there is no coordinator ${name}`);
    return found;
  }

  get coordinators(): ReadonlyMap<string, { readonly coordinator: Coordinator; readonly host: ActorHost }> {
    return this.#coordinators;
  }

  host(name = "c1"): ActorHost {
    return this.#process(name).host;
  }

  /** The name of the coordinator that leads; `undefined` if none does. */
  leaderName(): string | undefined {
    for (const [name, { coordinator }] of this.#coordinators) if (coordinator.leads()) return name;
    return undefined;
  }

  leader(): Coordinator {
    const name = this.leaderName();
    if (name === undefined) throw new Error("nobody leads");
    return this.#process(name).coordinator;
  }

  /** Lets time pass until somebody leads, and says who. */
  async untilLed(limitMs = 60_000): Promise<string> {
    await this.until(() => this.leaderName() !== undefined, limitMs);
    return this.leaderName() ?? "";
  }

  /** Lets time pass; everything in `checks` is asked after each virtual event. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.clock.nowMs() + byMs;
    await this.clock.runUntil(() => this.#holds(() => this.clock.nowMs() >= untilMs), { limitMs: byMs });
    await this.clock.advance(0);
  }

  /** Lets time pass until the condition holds. */
  async until(condition: () => boolean, limitMs = 3_600_000): Promise<void> {
    await this.clock.runUntil(() => this.#holds(condition), { limitMs });
  }

  #holds(condition: () => boolean): boolean {
    for (const check of this.checks) check();
    return condition();
  }

  /** Lets time pass until the promise is settled. */
  async during<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    await this.until(() => settled, limitMs);
    return done;
  }

  /** Calls an endpoint as the API would: the request is parsed first. */
  async call<E extends EndpointName>(
    name: E,
    request: RequestOf<E>,
    plane: ControlPlane = this.leader().plane,
  ): Promise<ReplyOf<E>> {
    return this.during(this.ask(name, request, plane));
  }

  /** The same without letting time pass: the answer comes while time does. */
  ask<E extends EndpointName>(
    name: E,
    request: RequestOf<E>,
    plane: ControlPlane = this.leader().plane,
  ): Promise<ReplyOf<E>> {
    const answer = plane[name] as (request: ParsedRequestOf<E>) => Promise<ReplyOf<E>>;
    const answered = answer(endpoints[name].request.parse(request) as ParsedRequestOf<E>);
    answered.catch(() => undefined);
    return answered;
  }

  /** What the audit log says of an object, as words: `told`, `succeeded`, `finished`. */
  eventsOf(kind: string, id: string): string[] {
    const events = this.store.events(fleet).filter(({ subject }) => subject === `${kind}/${id}`);
    return events.map(({ type }) => type.replace(`dev.rollcall.${kind}.`, "").replace(/\.v1$/, ""));
  }
}
