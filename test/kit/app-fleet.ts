import { type AppAgent, createAppAgent } from "../../src/agent/apps/app-agent.js";
import { MemoryRecords } from "../../src/agent/memory/records.js";
import type { MemoryBus } from "../../src/bus/memory-connection.js";
import type { RequestOf } from "../../src/contracts/api.js";
import type { InitStatus } from "../../src/contracts/app.js";
import type { AppRow } from "../../src/contracts/app-api.js";
import type { Formats } from "../../src/contracts/record-formats.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { NodeClock } from "../../src/simulator/node-clock.js";
import { type CoordinatorsOptions, CoordinatorsWorld, fleet } from "./coordinators-world.js";
import { FakeEngine } from "./fake-engine.js";
import { quietLog } from "./quiet-log.js";

/** An instance whose agent is embedded, through all lives of its process. */
export interface AppInstanceInWorld {
  readonly engine: FakeEngine;
  readonly records: MemoryRecords;
  agent: AppAgent;
  clock: NodeClock;
  bus: MemoryBus;
}

/** Coordinators, and instances with apps whose engines do as they are told, in virtual time. */
export class AppFleet extends CoordinatorsWorld {
  readonly instances = new Map<string, AppInstanceInWorld>();
  #lives = 0;

  /** A leader, and `web-1` to `web-<instances>`. */
  static async ready(
    instances = 3,
    options: CoordinatorsOptions & {
      readonly leaseMs?: number;
      /** Called before its first coordinator is there. */
      readonly first?: (world: AppFleet) => void;
    } = {},
  ): Promise<AppFleet> {
    const world = new AppFleet(options);
    options.first?.(world);
    await world.startCoordinator("c1", options.leaseMs);
    world.serve("c1");
    await world.untilLed();
    for (let n = 1; n <= instances; n++) await world.join(`web-${n}`);
    await world.advance(1_000);
    return world;
  }

  /** @param formats those that its program knows; undefined: those of this version */
  async join(id: string, formats?: Formats): Promise<AppInstanceInWorld> {
    const engine = new FakeEngine(this.clock);
    const records = new MemoryRecords(this.clock, 0);
    const instance = { engine, records, ...this.#newLife(id, engine, records, formats) };
    this.instances.set(id, instance);
    await this.during(instance.agent.start());
    return instance;
  }

  /** The process of an instance is killed in the middle of whatever it does. */
  killInstance(id: string): void {
    const { clock, records, engine, bus } = this.instance(id);
    clock.die();
    records.crash();
    engine.die();
    void bus.close();
  }

  /** The process of an instance that was killed or stopped starts again. */
  async startInstance(id: string, formats?: Formats): Promise<void> {
    const instance = this.instance(id);
    Object.assign(instance, this.#newLife(id, instance.engine, instance.records, formats));
    await this.during(instance.agent.start());
  }

  async stopInstance(id: string, options: { leave?: boolean } = {}): Promise<void> {
    const { agent, bus } = this.instance(id);
    await this.during(agent.stop(options));
    await this.during(bus.close());
  }

  instance(id = "web-1"): AppInstanceInWorld {
    const found = this.instances.get(id);
    if (found === undefined) throw new Error(`there is no instance ${id}`);
    return found;
  }

  /** Adds an app that every instance is to enable. */
  async addApp(app = "mail", more: Partial<RequestOf<"apps.add">> = {}): Promise<void> {
    await this.call("apps.add", { app, version: "1.0.0", desiredStatus: "enabled", by: "ann", ...more });
  }

  statusesOf(app: string): (InitStatus | undefined)[] {
    return [...this.instances.values()].map(({ agent }) => agent.stateOf(app)?.initStatus);
  }

  /** The rows of the whole matrix. */
  async rows(request: RequestOf<"apps.status"> = {}): Promise<AppRow[]> {
    return (await this.call("apps.status", { all: true, ...request })).items;
  }

  /** Lets time pass until the control plane has every app in sync everywhere. */
  async settled(limitMs = 120_000): Promise<void> {
    const untilMs = this.clock.nowMs() + limitMs;
    for (;;) {
      const { counts } = await this.call("apps.status", {});
      if (counts.inSync === counts.total) return;
      if (this.clock.nowMs() > untilMs) throw new Error(`not settled: ${JSON.stringify(counts)}`);
      await this.advance(250);
    }
  }

  /** Events of apps and of instances with apps, oldest first. */
  events(type?: string): (AuditEvent & { readonly data: Record<string, unknown> })[] {
    return this.store
      .events(fleet)
      .filter((event) => event.subject.startsWith("app"))
      .filter((event) => type === undefined || event.type === `dev.rollcall.${type}.v1`)
      .map((event) => ({ ...event, data: JSON.parse(event.body) as Record<string, unknown> }));
  }

  #newLife(id: string, engine: FakeEngine, records: MemoryRecords, formats?: Formats) {
    const clock = new NodeClock(this.clock);
    const bus = this.hub.connect(`${id}-${++this.#lives}`, { clock });
    const agent = createAppAgent(
      {
        clock,
        random: this.random,
        log: quietLog,
        bus,
        ledger: openLedgerReader(bus, fleet),
        engine,
        records,
      },
      { fleet, instance: id, agentVersion: "1.2.3", ...(formats && { formats }) },
    );
    return { agent, clock, bus };
  }
}
