import { type Agent, type AgentOptions, createAgent } from "../../src/agent/agent.js";
import type { Behaviour } from "../../src/agent/memory/behaviour.js";
import { createMemoryHost, type MemoryHost } from "../../src/agent/memory/memory-host.js";
import type { Bus } from "../../src/base/ports.js";
import { createMemoryBus, type MemoryHub } from "../../src/bus/memory-bus.js";
import type { DesiredInstance, Report } from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import { currentFormats } from "../../src/contracts/record-formats.js";
import { type Manifest, manifestSchema, type Release } from "../../src/contracts/release.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createSeededRandom, type SeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { NodeClock } from "../../src/simulator/node-clock.js";
import { quietLog } from "../kit/quiet-log.js";
import { HandLedger } from "./hand-ledger.js";

export const fleet = "test";

/** What a test says of a release's manifest; the rest is quick. */
export type ManifestChange = Partial<Manifest> & { readonly check?: Partial<Manifest["healthCheck"]> };

export function release(version: string, { check, ...change }: ManifestChange = {}): Release {
  const healthCheck = {
    type: "http",
    path: "/health",
    intervalMs: 1_000,
    timeoutMs: 500,
    retries: 3,
    startPeriodMs: 2_000,
    ...check,
  };
  const manifest = manifestSchema.parse({
    start: "node server.js",
    minHealthyMs: 3_000,
    stuckMs: 60_000,
    stop: { signal: "SIGTERM", graceMs: 1_000 },
    ...change,
    healthCheck,
  });
  const object = { name: version, digest: `sha256:${"0".repeat(64)}`, sizeBytes: 1 };
  return { version, source: { kind: "artifact", object }, manifest };
}

/** An agent in virtual time with a host, a bus and a ledger written by hand. */
export class AgentWorld {
  readonly clock: VirtualClock = createVirtualClock();
  readonly random: SeededRandom;
  readonly hub: MemoryHub;
  readonly observer: Bus;
  readonly ledger: HandLedger;
  readonly host: MemoryHost;
  readonly reports: Report[] = [];
  agent: Agent;
  readonly #options: AgentOptions;
  #connection = 0;
  #agentClock: NodeClock;
  #bus: Bus | undefined;
  #generation = 0;

  constructor(
    options: {
      seed?: number;
      instances?: readonly string[];
      agent?: Partial<AgentOptions>;
      saveMs?: number;
      startMs?: number;
    } = {},
  ) {
    this.random = createSeededRandom(options.seed ?? 1);
    this.hub = createMemoryBus(this.clock, { latencyMs: 1 });
    this.observer = this.hub.connect("observer");
    this.ledger = new HandLedger(this.clock);
    const { saveMs = 0, startMs = 0 } = options;
    this.host = createMemoryHost({ clock: this.clock, random: this.random.fork("host"), saveMs, startMs });
    this.#agentClock = new NodeClock(this.clock);
    this.#options = {
      fleet,
      agentVersion: "1.2.3",
      instances: (options.instances ?? ["i1"]).map((id) => ({ id, labels: { tier: "web" } })),
      ...options.agent,
    };
    this.observer.subscribe(subjectsOf(fleet).health("*"), ({ data }) => {
      const { report } = options.agent?.formats ?? currentFormats;
      const heard = { fleet, key: "report" };
      this.reports.push(report.readAt(heard, JSON.parse(new TextDecoder().decode(data))));
    });
    this.agent = this.newAgent();
  }

  /** An agent on the same host, as after a restart of its process. */
  newAgent(): Agent {
    this.#connection++;
    this.#bus = this.hub.connect(this.connection);
    this.#agentClock = new NodeClock(this.clock);
    const random = this.random.fork(`agent ${this.#connection}`);
    return createAgent(
      { clock: this.#agentClock, random, log: quietLog, bus: this.#bus, ledger: this.ledger, ...this.host },
      this.#options,
    );
  }

  /** Nothing happens in the agent for so long; what it runs goes on. */
  async stall(forMs: number): Promise<void> {
    this.#agentClock.stall(forMs);
    await this.clock.advance(forMs - 1);
  }

  get connection(): string {
    return `agent-${this.#connection}`;
  }

  async start(): Promise<void> {
    await this.passing(this.agent.start());
    await this.clock.advance(100);
  }

  /** The agent is killed in the middle of whatever it does; nothing of it is left but its host. */
  async kill(): Promise<void> {
    this.host.crash();
    await this.#replace();
  }

  /** The machine goes down in the middle of whatever it does, and is started again. */
  async reboot(): Promise<void> {
    this.host.reboot();
    await this.#replace();
  }

  async #replace(): Promise<void> {
    this.#agentClock.die();
    if (this.#bus !== undefined) await this.passing(this.#bus.close());
    this.agent = this.newAgent();
    await this.passing(this.agent.start());
  }

  /** The agent ends in peace and starts again. */
  async restart(): Promise<void> {
    await this.agent.stop();
    this.agent = this.newAgent();
    await this.passing(this.agent.start());
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

  behave(version: string, behaviour: Behaviour): void {
    this.host.behaviours.set(version, behaviour);
  }

  desired(run: Release | null, change: Partial<DesiredInstance> = {}): DesiredInstance {
    return {
      format: 1,
      ledgerId: "ledger-1",
      instance: "i1",
      agent: this.agent.agentId,
      generation: ++this.#generation,
      epoch: 1,
      deployment: null,
      run: run === null ? null : { release: run, config: null },
      stable: null,
      minHealthyMs: run?.manifest.minHealthyMs ?? 0,
      deadlineMs: 60_000,
      ...change,
    };
  }

  /** Writes what the instance should run. */
  tell(run: Release | null, change: Partial<DesiredInstance> = {}): DesiredInstance {
    const desired = this.desired(run, change);
    this.ledger.put(keys.desiredInstance(desired.instance), desired);
    return desired;
  }

  state(instance = "i1") {
    const state = this.agent.stateOf(instance);
    if (state === undefined) throw new Error(`there is no instance ${instance}`);
    return state;
  }

  async until(condition: () => boolean, limitMs = 120_000): Promise<void> {
    await this.clock.runUntil(condition, { limitMs });
  }

  async untilActive(version: string, instance = "i1"): Promise<void> {
    await this.until(
      () => this.state(instance).phase === "ACTIVE" && this.state(instance).running?.release === version,
    );
  }

  lastReport(instance = "i1"): Report {
    const report = this.reports.findLast((one) => one.instance === instance);
    if (report === undefined) throw new Error(`nothing was heard of ${instance}`);
    return report;
  }
}
