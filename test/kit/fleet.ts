import { createClient } from "../../src/api/client.js";
import type { Client } from "../../src/api/client-types.js";
import { serveApi } from "../../src/api/service.js";
import type { Log, Random } from "../../src/base/ports.js";
import { createMemoryBus, type MemoryHub } from "../../src/bus/memory-bus.js";
import type { MemoryBus } from "../../src/bus/memory-connection.js";
import type {
  ControlPlane,
  EndpointName,
  ParsedRequestOf,
  ReplyOf,
  RequestOf,
} from "../../src/contracts/api.js";
import { endpoints } from "../../src/contracts/api.js";
import type { DesiredInstance, Labels } from "../../src/contracts/instance.js";
import { parseKey } from "../../src/contracts/keys.js";
import {
  currentFormats,
  type FormatRanges,
  type Formats,
  rangesOf,
} from "../../src/contracts/record-formats.js";
import { matches, parseSelector } from "../../src/contracts/selector.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import type { DeploymentView } from "../../src/contracts/views.js";
import { createCoordinator } from "../../src/coordinator/coordinator.js";
import type { Coordinator } from "../../src/coordinator/coordinator-ports.js";
import type { CoordinatorFiles } from "../../src/coordinator/reconciliation-facts.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createMemoryLedgerStore, type MemoryLedgerStore } from "../../src/ledger/memory-ledger.js";
import type { ActorHost } from "../../src/runtime/actor.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { nextFormats } from "../../src/simulator/chaos/next-formats.js";
import { NodeClock } from "../../src/simulator/node-clock.js";
import { type Behaviour, FakeAgent } from "./fake-agent.js";
import { quietLog } from "./quiet-log.js";

export const fleet = "default";
export const leaseMs = 3_000;

/** A desired state as the ledger sent it to whoever listens; `undefined` when it was deleted. */
export interface SeenDesire {
  readonly instance: string;
  readonly desired: DesiredInstance | undefined;
  readonly revision: number;
  readonly atMs: number;
}

interface Process {
  readonly coordinator: Coordinator;
  readonly host: ActorHost;
  readonly bus: MemoryBus;
  readonly clock: NodeClock;
  readonly formats: Formats;
}

export type Deploy = Partial<RequestOf<"deployments.create">>;

/** What coordinators are made with besides. */
export interface FleetOptions {
  readonly files?: CoordinatorFiles;
  readonly reconcileEveryMs?: number;
  /** Of the ledger's server; default true. */
  readonly syncAlways?: boolean;
}

/** A whole fleet in virtual time: a ledger, coordinators, and instances that do what they are told. */
export class FleetWorld {
  readonly clock: VirtualClock = createVirtualClock();
  readonly hub: MemoryHub = createMemoryBus(this.clock);
  readonly store: MemoryLedgerStore;
  readonly random: Random;
  readonly log: Log;
  readonly agents = new Map<string, FakeAgent>();
  /** Every desired state that was written, in this order. */
  readonly desires: SeenDesire[] = [];
  /** Asked after each virtual event: what must hold at every moment throws here when it does not. */
  readonly checks: (() => void)[] = [];
  readonly #coordinators = new Map<string, Process>();
  readonly #more: FleetOptions;

  constructor(options: { seed?: number; log?: Log } & FleetOptions = {}) {
    this.#more = options;
    this.random = createSeededRandom(options.seed ?? 1);
    this.log = options.log ?? quietLog;
    const { clock, random, log, hub } = this;
    const { syncAlways = true } = options;
    this.store = createMemoryLedgerStore({ clock, random, log, hub, syncAlways });
    const witness = hub.connect("witness");
    openLedgerReader(witness, fleet).watch("desired.>", ({ key, value, revision }) => {
      // Faults double and delay what the witness hears too.
      const at = this.desires.findLastIndex((seen) => seen.revision <= revision);
      if (this.desires[at]?.revision === revision) return;
      const instance = parseKey(key)?.[1] ?? "";
      const desired =
        value === undefined ? undefined : nextFormats["desired.instance"].readAt({ fleet, key }, value);
      this.desires.splice(at + 1, 0, { instance, desired, revision, atMs: clock.nowMs() });
    });
  }

  /** A fleet that is ready: a coordinator, `web-1` to `web-<instances>` with `tier=web`, and releases v1 to v3. */
  static async ready(
    instances = 6,
    options: {
      seed?: number;
      log?: Log;
      releases?: readonly string[];
      formats?: Formats;
    } & FleetOptions = {},
  ): Promise<FleetWorld> {
    const world = new FleetWorld(options);
    await world.startCoordinator("c1", leaseMs, options.formats);
    for (let n = 1; n <= instances; n++) world.addAgent(`web-${n}`, { tier: "web" });
    await world.advance(2_500);
    for (const version of options.releases ?? ["v1", "v2", "v3"]) await world.pushRelease(version);
    return world;
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
        askPeers: async () => this.#peersOf(name),
        ...(this.#more.files && { files: this.#more.files }),
      },
      {
        fleet,
        name,
        leaseMs: lease,
        version: "1.0.0",
        node: "test",
        formats,
        reconcileEveryMs: this.#more.reconcileEveryMs,
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

  addAgent(instance: string, labels: Labels = {}, agent?: string, formats?: Formats): FakeAgent {
    const bus = this.hub.connect(`agent-${instance}${agent === undefined ? "" : `-${agent}`}`);
    const made = new FakeAgent({
      bus,
      clock: this.clock,
      ledger: openLedgerReader(bus, fleet),
      fleet,
      instance,
      labels,
      ...(agent === undefined ? {} : { agent }),
      ...(formats === undefined ? {} : { formats }),
    });
    if (agent === undefined) this.agents.set(instance, made);
    made.start();
    return made;
  }

  agent(instance: string): FakeAgent {
    const found = this.agents.get(instance);
    if (found === undefined) throw new Error(`there is no agent of ${instance}`);
    return found;
  }

  /** Gives an instance other labels, and lets the coordinator hear of them. */
  async relabel(instance: string, labels: Labels): Promise<void> {
    const agent = this.agent(instance);
    agent.labels = labels;
    agent.set({ labels });
    await this.advance(20);
  }

  /** How every agent takes a release, by its version. */
  behave(
    behaviours: Readonly<Record<string, Behaviour>>,
    instances: Iterable<string> = this.agents.keys(),
  ): void {
    for (const instance of instances)
      this.agent(instance).behaviour = ({ run }) => behaviours[run?.release.version ?? ""] ?? {};
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

  /** Begins a roll-out to everything with `tier=web`, two at a time, that fails with the second failure. */
  async deploy(release: string | null, more: Deploy = {}): Promise<DeploymentView> {
    const { selector = "tier=web" } = more;
    const chosen = parseSelector(selector);
    const matching = [...this.agents.values()].filter(({ labels }) => matches(chosen, labels)).length;
    return this.call("deployments.create", {
      release,
      selector,
      batch: 2,
      // A threshold above the fleet is refused.
      failureThreshold: Math.max(1, Math.min(2, matching)),
      ...more,
    });
  }

  /** A roll-out from beginning to end. */
  async rolledOut(release: string | null, more: Deploy = {}): Promise<DeploymentView> {
    return this.finished((await this.deploy(release, more)).id);
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

  async pushRelease(version: string, manifest: Record<string, unknown> = {}): Promise<void> {
    const digest = `sha256:${Buffer.from(version).toString("hex").padEnd(64, "0")}`;
    const health = { type: "http", path: "/health", intervalMs: 500, timeoutMs: 200 } as const;
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

  async pushConfig(version: string): Promise<void> {
    const digest = `sha256:${Buffer.from(version).toString("hex").padEnd(64, "0")}`;
    await this.call("configs.push", {
      config: { version, object: { name: version, digest, sizeBytes: 1 } },
      by: "test",
    });
  }

  async view(deployment: string): Promise<DeploymentView> {
    return (await this.call("deployments.get", { deployment })).deployment;
  }

  async instance(instance: string): Promise<ReplyOf<"instances.get">> {
    return this.call("instances.get", { instance });
  }

  /** Lets time pass until the deployment is over. */
  async finished(deployment: string, limitMs = 3_600_000): Promise<DeploymentView> {
    const untilMs = this.clock.nowMs() + limitMs;
    for (;;) {
      if (this.leaderName() === undefined) await this.untilLed();
      const view = await this.view(deployment).catch(() => undefined);
      if (view !== undefined && view.outcome !== null) return view;
      if (this.clock.nowMs() > untilMs) throw new Error(`not over: ${view?.why.sentence}`);
      await this.advance(250);
    }
  }

  running(): Record<string, string | null> {
    return Object.fromEntries([...this.agents].map(([instance, agent]) => [instance, agent.running]));
  }

  /** The releases that some agent runs. */
  versions(): (string | null)[] {
    return [...new Set(Object.values(this.running()))];
  }

  /** Which instances were ever told this release. */
  toldOf(release: string): string[] {
    return [...this.agents.values()]
      .filter(({ story }) => story.includes(release))
      .map(({ instance }) => instance);
  }

  /** The generations that an instance was ever told, with their releases, as the ledger sent them. */
  desiresOf(instance: string): { readonly generation: number; readonly release: string | null }[] {
    return this.desires.flatMap((seen) =>
      seen.instance === instance && seen.desired !== undefined
        ? [{ generation: seen.desired.generation, release: seen.desired.run?.release.version ?? null }]
        : [],
    );
  }

  /** Says something as an instance, through a connection of its own. */
  say(from: string, instance: string, data: Uint8Array | string): void {
    const bus = this.hub.connect(from);
    bus.publish(subjectsOf(fleet).health(instance), data);
    void bus.close();
  }

  /** What the audit log says of an object, as words: `told`, `succeeded`, `finished`. */
  eventsOf(kind: string, id: string): string[] {
    const events = this.store.events(fleet).filter(({ subject }) => subject === `${kind}/${id}`);
    return events.map(({ type }) => type.replace(`dev.rollcall.${kind}.`, "").replace(/\.v1$/, ""));
  }
}
