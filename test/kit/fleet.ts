import type { Log, Random } from "../../src/base/ports.js";
import { createMemoryBus, type MemoryHub } from "../../src/bus/memory-bus.js";
import type {
  ControlPlane,
  EndpointName,
  ParsedRequestOf,
  ReplyOf,
  RequestOf,
} from "../../src/contracts/api.js";
import { endpoints } from "../../src/contracts/api.js";
import type { Labels } from "../../src/contracts/instance.js";
import { type Coordinator, createCoordinator } from "../../src/coordinator/coordinator.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createMemoryLedgerStore, type MemoryLedgerStore } from "../../src/ledger/memory-ledger.js";
import type { ActorHost } from "../../src/runtime/actor.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { FakeAgent } from "./fake-agent.js";
import { quietLog } from "./quiet-log.js";

export const fleet = "default";
export const leaseMs = 3_000;

/** A whole fleet in virtual time: a ledger, coordinators, and instances that do what they are told. */
export class FleetWorld {
  readonly clock: VirtualClock = createVirtualClock();
  readonly hub: MemoryHub = createMemoryBus(this.clock);
  readonly store: MemoryLedgerStore;
  readonly random: Random;
  readonly log: Log;
  readonly agents = new Map<string, FakeAgent>();
  readonly #coordinators = new Map<string, { coordinator: Coordinator; host: ActorHost }>();

  constructor(options: { seed?: number; log?: Log } = {}) {
    this.random = createSeededRandom(options.seed ?? 1);
    this.log = options.log ?? quietLog;
    this.store = createMemoryLedgerStore({
      clock: this.clock,
      random: this.random,
      log: this.log,
      hub: this.hub,
    });
  }

  async startCoordinator(name = "c1"): Promise<Coordinator> {
    const { clock, random, log } = this;
    const bus = this.hub.connect(name);
    const ledger = await this.during(this.store.open({ fleet, bus, log }));
    const host = createActorHost({ node: name, clock, random, log });
    const coordinator = createCoordinator(
      { clock, random, log, bus, ledger, host },
      { fleet, name, leaseMs, version: "1.0.0", node: "test" },
    );
    coordinator.start();
    this.#coordinators.set(name, { coordinator, host });
    await this.clock.advance(100);
    return coordinator;
  }

  host(name = "c1"): ActorHost {
    const found = this.#coordinators.get(name);
    if (found === undefined) throw new Error(`there is no coordinator ${name}`);
    return found.host;
  }

  leader(): Coordinator {
    for (const { coordinator } of this.#coordinators.values()) if (coordinator.leads()) return coordinator;
    throw new Error("nobody leads");
  }

  addAgent(instance: string, labels: Labels = {}, agent?: string): FakeAgent {
    const bus = this.hub.connect(`agent-${instance}${agent ?? ""}`);
    const made = new FakeAgent({
      bus,
      clock: this.clock,
      ledger: openLedgerReader(bus, fleet),
      fleet,
      instance,
      labels,
      ...(agent === undefined ? {} : { agent }),
    });
    this.agents.set(instance, made);
    made.start();
    return made;
  }

  /** Calls an endpoint as the API would: the request is parsed first. */
  async call<E extends EndpointName>(
    name: E,
    request: RequestOf<E>,
    plane: ControlPlane = this.leader().plane,
  ): Promise<ReplyOf<E>> {
    const answer = plane[name] as (request: ParsedRequestOf<E>) => Promise<ReplyOf<E>>;
    return this.during(answer(endpoints[name].request.parse(request) as ParsedRequestOf<E>));
  }

  /** Lets time pass until the promise is settled. */
  async during<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const done = promise.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    await this.clock.runUntil(() => settled, { limitMs });
    return done;
  }

  async pushRelease(version: string, manifest: Record<string, unknown> = {}): Promise<void> {
    const digest = `sha256:${version.replace(/[^0-9a-f]/g, "").padEnd(64, "0")}`;
    const health = { type: "http", path: "/health" } as const;
    await this.call("releases.push", {
      release: {
        version,
        source: { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } },
        manifest: {
          start: "node server.js",
          healthCheck: health,
          minHealthyMs: 1_000,
          deadlineMs: 60_000,
          ...manifest,
        },
      },
      digest,
      by: "test",
    });
  }

  /** Lets time pass until the deployment is over. */
  async finished(deployment: string, limitMs = 3_600_000) {
    let view = (await this.call("deployments.get", { deployment })).deployment;
    const untilMs = this.clock.nowMs() + limitMs;
    while (view.outcome === null) {
      if (this.clock.nowMs() > untilMs) throw new Error(`not over: ${view.why.sentence}`);
      await this.clock.advance(250);
      view = (await this.call("deployments.get", { deployment })).deployment;
    }
    return view;
  }

  running(): Record<string, string | null> {
    return Object.fromEntries([...this.agents].map(([instance, agent]) => [instance, agent.running]));
  }
}
