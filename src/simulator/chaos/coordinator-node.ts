import { formatsOfCoordinators } from "../../api/find-coordinators.js";
import { serveApi } from "../../api/service.js";
import type { Subscription } from "../../base/ports.js";
import type { MemoryBus } from "../../bus/memory-connection.js";
import { currentFormats, type Formats, rangesOf } from "../../contracts/record-formats.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { createCoordinator } from "../../coordinator/coordinator.js";
import type { Coordinator } from "../../coordinator/coordinator-ports.js";
import type { ActorHost } from "../../runtime/actor.js";
import { createActorHost } from "../../runtime/actor-host.js";
import { NodeClock } from "../node-clock.js";
import type { SimulatedWorld } from "../world.js";
import { nextFormats } from "./next-formats.js";

export interface CoordinatorNodeOptions {
  readonly name: string;
  readonly leaseMs: number;
  readonly reconcileEveryMs: number;
  readonly driftPpm: number;
  /** It is of the next version. */
  readonly isNext: boolean;
}

/** A coordinator's process, as `rollcall coordinator` runs it, on a machine with a clock of its own. */
export class CoordinatorNode {
  readonly name: string;
  readonly clock: NodeClock;
  readonly bus: MemoryBus;
  readonly host: ActorHost;
  readonly isNext: boolean;
  readonly #world: SimulatedWorld;
  readonly #options: CoordinatorNodeOptions;
  #coordinator: Coordinator | undefined;
  #api: Subscription | undefined;
  #state: "starting" | "running" | "stopping" | "ended" = "starting";

  constructor(world: SimulatedWorld, options: CoordinatorNodeOptions) {
    const { name, driftPpm } = options;
    this.#world = world;
    this.#options = options;
    this.name = name;
    this.isNext = options.isNext;
    this.clock = new NodeClock(world.clock, { driftPpm });
    this.bus = world.hub.connect(name, { clock: this.clock });
    this.host = createActorHost({
      node: name,
      clock: this.clock,
      random: world.random.fork(`${name}/host`),
      log: world.log,
      bus: this.bus,
      subjects: subjectsOf(world.fleet),
    });
  }

  get coordinator(): Coordinator | undefined {
    return this.#coordinator;
  }

  get driftPpm(): number {
    return this.#options.driftPpm;
  }

  get leads(): boolean {
    return this.#state !== "ended" && this.#coordinator?.leads() === true;
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  /** Resolves when it takes part. @throws RollcallError as the command would end: whoever runs it starts it again */
  async start(): Promise<void> {
    const { fleet, store, log, random } = this.#world;
    const { clock, bus, host, name } = this;
    const ledger = await store.open({ fleet, bus, clock, log });
    if (this.#state !== "starting") return;
    const { leaseMs, reconcileEveryMs } = this.#options;
    const coordinator = createCoordinator(
      {
        clock,
        random: random.fork(name),
        log,
        bus,
        ledger,
        host,
        askPeers: () => formatsOfCoordinators(bus, fleet),
      },
      {
        fleet,
        name,
        leaseMs,
        reconcileEveryMs,
        version: "1.0.0",
        node: name,
        formats: this.#formats,
      },
    );
    this.#coordinator = coordinator;
    this.#state = "running";
    coordinator.start();
    this.#api = this.#serve(coordinator);
  }

  /** As by SIGTERM: it hands over. */
  async stop(): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "stopping";
    this.#api?.unsubscribe();
    await this.#coordinator?.stop();
    this.kill();
  }

  /** As by SIGKILL: nothing happens in it any more, whatever it was doing. */
  kill(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.clock.die();
    void this.bus.close();
    this.host.stop();
  }

  get #formats(): Formats {
    return this.isNext ? nextFormats : currentFormats;
  }

  #serve(coordinator: Coordinator): Subscription {
    return serveApi({
      bus: this.bus,
      fleet: this.#world.fleet,
      plane: coordinator.plane,
      knowledge: coordinator,
      node: this.name,
      version: "1.0.0",
      formats: rangesOf(this.#formats),
      role: () => {
        const { name: leader, epoch } = coordinator.leader();
        const { problem, role: exactly, sinceMs, doing } = coordinator.view();
        return {
          leading: coordinator.leads(),
          epoch,
          leader,
          problem,
          state: { role: exactly, sinceMs, doing },
        };
      },
      clock: this.clock,
      log: this.#world.log,
    });
  }
}
