import { type AppAgent, type AppAgentOptions, createAppAgent } from "../../src/agent/apps/app-agent.js";
import { MemoryRecords } from "../../src/agent/memory/records.js";
import type { Bus } from "../../src/base/ports.js";
import { createMemoryBus, type MemoryHub } from "../../src/bus/memory-bus.js";
import type { AppList, DesiredApp, DesiredStatus, InitStatus } from "../../src/contracts/app.js";
import {
  type AppChange,
  type AppReport,
  type AppState,
  appReportSchema,
  appStateText,
} from "../../src/contracts/app-report.js";
import { isInSync } from "../../src/contracts/app-status.js";
import { keys } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createSeededRandom, type SeededRandom } from "../../src/runtime/random.js";
import { SetDigest } from "../../src/runtime/set-digest.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";

import { NodeClock } from "../../src/simulator/node-clock.js";
import { FakeEngine } from "../kit/fake-engine.js";
import { quietLog } from "../kit/quiet-log.js";
import { desiredApp } from "../machines/app-samples.js";
import { HandLedger } from "./hand-ledger.js";

export const fleet = "test";
export const ledgerId = "m1000000000000-a";

/** What a control plane makes of the reports of an instance: nothing but what it was told. */
export class Ear {
  readonly states = new Map<string, AppState>();
  readonly changes: AppChange[] = [];
  report: AppReport | undefined;
  reports = 0;

  hear(report: AppReport): void {
    this.reports++;
    if (this.report?.incarnation !== report.incarnation) this.changes.length = 0;
    this.report = report;
    if (report.apps?.whole) this.states.clear();
    for (const state of report.apps?.states ?? []) this.states.set(state.app, state);
    for (const app of report.apps?.gone ?? []) this.states.delete(app);
    for (const change of report.recent ?? [])
      if (change.number > (this.changes.at(-1)?.number ?? 0)) this.changes.push(change);
  }

  /** All states were heard that there are. */
  get isComplete(): boolean {
    const digest = new SetDigest();
    for (const state of this.states.values()) digest.add(appStateText(state));
    return digest.value === this.report?.digest;
  }
}

/** An instance with apps, through all lives of its process. */
export interface AppInstance {
  readonly id: string;
  readonly engine: FakeEngine;
  readonly records: MemoryRecords;
  readonly ear: Ear;
  agent: AppAgent;
  clock: NodeClock;
  bus: Bus;
}

/** Instances with apps in virtual time, a bus, and a ledger that administrators write by hand. */
export class AppWorld {
  readonly clock: VirtualClock = createVirtualClock();
  readonly random: SeededRandom;
  readonly hub: MemoryHub;
  readonly observer: Bus;
  readonly ledger: HandLedger;
  readonly instances = new Map<string, AppInstance>();
  readonly #options: Partial<AppAgentOptions>;
  #lives = 0;
  #list: AppList = { format: 1, ledgerId, epoch: 1, generation: 0, apps: {} } as AppList;
  readonly desired = new Map<string, DesiredApp>();

  constructor(options: { seed?: number; agent?: Partial<AppAgentOptions> } = {}) {
    this.random = createSeededRandom(options.seed ?? 1);
    this.hub = createMemoryBus(this.clock, { latencyMs: 1 });
    this.observer = this.hub.connect("observer");
    this.ledger = new HandLedger(this.clock);
    this.#options = options.agent ?? {};
    this.observer.subscribe(subjectsOf(fleet).apps("*"), ({ data }) => {
      const report = appReportSchema.parse(JSON.parse(new TextDecoder().decode(data)));
      this.instances.get(report.instance)?.ear.hear(report);
    });
  }

  /** Starts an instance that was never there before. */
  async join(id: string, saveMs = 0): Promise<AppInstance> {
    const life = this.#newLife(id, new FakeEngine(this.clock), new MemoryRecords(this.clock, saveMs));
    const instance = { ...life, ear: new Ear() };
    this.instances.set(id, instance);
    await this.passing(instance.agent.start());
    return instance;
  }

  /** The process of an instance is killed in the middle of whatever it does. */
  async kill(id: string): Promise<void> {
    const instance = this.instance(id);
    instance.clock.die();
    instance.records.crash();
    instance.engine.die();
    await this.passing(instance.bus.close());
  }

  /** The process of an instance that was killed or stopped starts again. */
  async start(id: string): Promise<void> {
    const instance = this.instance(id);
    const { agent, clock, bus } = this.#newLife(id, instance.engine, instance.records);
    Object.assign(instance, { agent, clock, bus });
    await this.passing(agent.start());
  }

  /** The process ends in peace. */
  async stop(id: string, options: { leave?: boolean } = {}): Promise<void> {
    const { agent, bus } = this.instance(id);
    await this.passing(agent.stop(options));
    await this.passing(bus.close());
  }

  instance(id = "i1"): AppInstance {
    const instance = this.instances.get(id);
    if (instance === undefined) throw new Error(`there is no instance ${id}`);
    return instance;
  }

  /** Asks something of an app; `heard: false`: the broadcast is lost. */
  ask(
    app: string,
    desiredStatus: DesiredStatus,
    change: { version?: string; settings?: object; heard?: boolean; ledgerId?: string } = {},
  ): DesiredApp {
    const { heard = true, ...rest } = change;
    const generation = (this.desired.get(app)?.generation ?? 0) + 1;
    const appsGeneration = this.#list.generation + 1;
    const state = desiredApp(generation, desiredStatus, { app, appsGeneration, ledgerId, ...rest });
    this.#list = {
      ...this.#list,
      ledgerId: state.ledgerId,
      generation: appsGeneration,
      apps: { ...this.#list.apps, [app]: generation },
    };
    this.desired.set(app, state);
    this.#silently(!heard, () => this.ledger.put(keys.desiredApp(app), state));
    this.ledger.put(keys.desiredApps, this.#list);
    return state;
  }

  /** Every known instance has confirmed: the tombstone goes. */
  clear(app: string): void {
    const { [app]: _, ...apps } = this.#list.apps;
    this.#list = { ...this.#list, generation: this.#list.generation + 1, apps };
    this.desired.delete(app);
    this.ledger.put(keys.desiredApp(app), undefined);
    this.ledger.put(keys.desiredApps, this.#list);
  }

  /** Another ledger stands there, in which nothing of this was ever asked. */
  newLedger(id: string, apps: Record<string, number> = {}): void {
    this.#list = { ...this.#list, ledgerId: id, generation: 1, apps };
    this.ledger.put(keys.desiredApps, this.#list);
  }

  /** Every instance has every app as asked, by its reports and in truth. */
  isSettled(): boolean {
    return [...this.instances.values()].every(({ ear, engine }) =>
      [...this.desired.values()].every((desired) => {
        const { app, desiredStatus, content } = desired;
        const runs = engine.running.get(app);
        return (
          isInSync(desired, ear.states.get(app)) &&
          runs === (desiredStatus === "enabled" ? content.version : undefined)
        );
      }),
    );
  }

  statusOf(app: string, id = "i1"): InitStatus | undefined {
    return this.instance(id).ear.states.get(app)?.initStatus;
  }

  async settle(limitMs = 120_000): Promise<void> {
    await this.until(() => this.isSettled(), limitMs);
  }

  async until(condition: () => boolean, limitMs = 120_000): Promise<void> {
    await this.clock.runUntil(condition, { limitMs });
  }

  async untilStatus(app: string, status: InitStatus, id = "i1"): Promise<void> {
    await this.until(() => this.statusOf(app, id) === status);
  }

  async request(id: string, verb: string, body: object): Promise<unknown> {
    const subject = subjectsOf(fleet).appsAsk(id, verb);
    const answer = this.observer.request(subject, JSON.stringify(body), { timeoutMs: 1_000 });
    return JSON.parse(new TextDecoder().decode((await this.passing(answer)).data));
  }

  /** Lets time pass until the promise is settled. */
  async passing<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const ended = (): void => {
      settled = true;
    };
    promise.then(ended, ended);
    await this.until(() => settled);
    return await promise;
  }

  #silently(silent: boolean, act: () => void): void {
    const before = this.ledger.cutOff;
    this.ledger.cutOff = before || silent;
    act();
    this.ledger.cutOff = before;
  }

  #newLife(id: string, engine: FakeEngine, records: MemoryRecords) {
    const clock = new NodeClock(this.clock);
    const bus = this.hub.connect(`${id}-${++this.#lives}`);
    const random = this.random.fork(`${id}-${this.#lives}`);
    const agent = createAppAgent(
      { clock, random, log: quietLog, bus, ledger: this.ledger, engine, records },
      { fleet, instance: id, agentVersion: "1.2.3", ...this.#options },
    );
    return { id, engine, records, agent, clock, bus };
  }
}
