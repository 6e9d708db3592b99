import { messageOf } from "../../base/errors.js";
import type { Labels } from "../../contracts/instance.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { SimulatedWorld } from "../world.js";
import { AgentNode } from "./agent-node.js";
import { AppFleet } from "./app-fleet.js";
import { CoordinatorNode } from "./coordinator-node.js";
import type { Effect } from "./effect.js";
import type { LifePlan } from "./life-plan.js";

/** Whoever runs the processes starts one that has ended again after so long. */
const startAgainMs = 2_000;

/** The processes of a life: coordinators and agents, as whoever runs them starts and ends them. */
export class Fleet {
  readonly world: SimulatedWorld;
  readonly coordinators = new Map<string, CoordinatorNode>();
  readonly agents = new Map<string, AgentNode>();
  readonly apps: AppFleet;
  /** Hosts that have left. */
  readonly gone: AgentNode[] = [];
  /** Of every process that ever was. */
  readonly hosts: ActorHost[] = [];
  readonly #plan: LifePlan;
  /** When each connection that was cut off came back. */
  readonly #reconnectedAtMs = new Map<string, number>();
  /** Told of all that is done on the hosts. */
  onEffect: (effect: Effect) => void = () => undefined;
  /** Machines that have borne the name of an instance. */
  readonly #machines = new Map<string, number>();
  #serverBackAtMs: number | undefined;
  #coordinatorStarts = 0;
  #joined = 0;

  constructor(world: SimulatedWorld, plan: LifePlan) {
    this.world = world;
    this.#plan = plan;
    this.apps = new AppFleet(world, plan);
  }

  start(): void {
    for (const { isNext, driftPpm } of this.#plan.coordinators) this.#startCoordinator({ isNext, driftPpm });
    for (const { driftPpm, isNext, ...named } of this.#plan.instances)
      this.#addAgent(this.#machine(named, { driftPpm, isNext }));
    this.apps.start((host) => void this.hosts.push(host));
  }

  leader(): CoordinatorNode | undefined {
    for (const node of this.coordinators.values()) if (node.leads) return node;
    return undefined;
  }

  coordinatorAt(nth: number): CoordinatorNode | undefined {
    return at([...this.coordinators.values()], nth);
  }

  agentAt(nth: number): AgentNode | undefined {
    return at([...this.agents.values()], nth);
  }

  /** Starts another process in the place of one, which may be under way to its end or ended. */
  replace(node: CoordinatorNode, { isNext = node.isNext }: { isNext?: boolean } = {}): void {
    if (!node.ended) node.kill();
    this.coordinators.delete(node.name);
    this.#startCoordinator({ isNext, driftPpm: node.driftPpm });
  }

  /** It hands over, if it can. */
  stop(node: CoordinatorNode): void {
    const gone = () => void this.coordinators.delete(node.name);
    node.stop().then(gone, (error: unknown) => {
      const problem = messageOf(error);
      this.world.log.warn({ coordinator: node.name, problem }, "a coordinator could not hand over");
      node.kill();
      gone();
    });
  }

  /** @returns who joins */
  join(labels: Labels): string {
    const id = `j${++this.#joined}`;
    this.#addAgent(this.#machine({ id, labels }));
    return id;
  }

  /** A host without an agent is switched off. @returns who leaves; the last one stays */
  leave(nth: number): readonly string[] {
    const node = this.agentAt(nth);
    if (node === undefined || this.agents.size === 1) return [];
    this.agents.delete(node.id);
    this.gone.push(node);
    if (node.agent === undefined) node.reboot();
    node.stop({ leave: true }).catch((error: unknown) => {
      const problem = messageOf(error);
      this.world.log.error({ instance: node.id, problem }, "an agent could not leave");
    });
    return [node.id];
  }

  /** Its machine is gone for good, and an empty one has its name. @returns which one */
  newHost(nth: number): readonly string[] {
    const node = this.agentAt(nth);
    if (node === undefined) return [];
    node.reboot();
    this.gone.push(node);
    this.#addAgent(this.#machine(node));
    return [node.id];
  }

  /** A second agent runs under the name of an instance, on a machine of its own. @returns what ends it */
  double(nth: number): { readonly id: string; readonly end: () => void } | undefined {
    const node = this.agentAt(nth);
    if (node === undefined) return undefined;
    const second = this.#machine(node);
    this.gone.push(second);
    second.start().catch((error: unknown) => {
      this.world.log.warn({ instance: node.id, problem: messageOf(error) }, "a second agent did not start");
    });
    return { id: node.id, end: () => second.reboot() };
  }

  /** Its agent starts again as the next version. */
  upgradeAgent(node: AgentNode): void {
    node.kill();
    node.isNext = true;
    this.startAgent(node);
  }

  /** An agent starts again with other labels, while what it runs goes on. @returns which one */
  relabel(nth: number, labels: Labels): readonly string[] {
    const node = this.agentAt(nth);
    if (node === undefined) return [];
    node.labels = labels;
    this.world.clock.setTimer(startAgainMs, this.stopAgent(node));
    return [node.id];
  }

  /** As by SIGTERM. @returns what starts it again: if it has not ended by then, it is killed */
  stopAgent(node: AgentNode): () => void {
    const { busName } = node;
    node.stop().catch((error: unknown) => {
      this.world.log.error({ instance: node.id, problem: messageOf(error) }, "an agent could not end");
    });
    return () => {
      if (node.busName === busName) node.kill();
      this.startAgent(node);
    };
  }

  /** Processes end no more by themselves. */
  calm(): void {
    for (const node of this.agents.values()) node.calm();
    this.apps.calm();
  }

  startAgent(node: AgentNode): void {
    if (this.agents.get(node.id) !== node) return;
    node.start().catch((error: unknown) => {
      // As its service manager does: it starts again what has ended.
      this.world.log.warn({ instance: node.id, problem: messageOf(error) }, "an agent did not start");
      node.kill();
      this.world.clock.setTimer(startAgainMs, () => this.startAgent(node));
    });
  }

  reconnect(bus: string): void {
    if (!this.world.hub.knows(bus)) return;
    this.world.hub.reconnect(bus);
    this.#reconnectedAtMs.set(bus, this.world.clock.nowMs());
  }

  /** All connections are back, or on their way. */
  noteServerBack(): void {
    this.#serverBackAtMs = this.world.clock.nowMs();
  }

  reconnectedAtMs(bus: string): number | undefined {
    const atMs = this.#reconnectedAtMs.get(bus);
    if (atMs === undefined || this.#serverBackAtMs === undefined) return atMs ?? this.#serverBackAtMs;
    return Math.max(atMs, this.#serverBackAtMs);
  }

  #addAgent(node: AgentNode): void {
    this.agents.set(node.id, node);
    this.startAgent(node);
  }

  #machine(
    { id, labels }: { readonly id: string; readonly labels: Labels },
    { driftPpm = 0, isNext = false }: { readonly driftPpm?: number; readonly isNext?: boolean } = {},
  ): AgentNode {
    const machine = (this.#machines.get(id) ?? 0) + 1;
    this.#machines.set(id, machine);
    const { releases } = this.#plan;
    const onEffect = (effect: Effect) => this.onEffect(effect);
    const onHost = (host: ActorHost) => void this.hosts.push(host);
    return new AgentNode(this.world, { id, labels, driftPpm, isNext, machine, releases, onEffect, onHost });
  }

  #startCoordinator({ isNext, driftPpm }: { isNext: boolean; driftPpm: number }): void {
    const { leaseMs, reconcileEveryMs } = this.#plan;
    const name = `c${++this.#coordinatorStarts}`;
    const node = new CoordinatorNode(this.world, { name, leaseMs, reconcileEveryMs, driftPpm, isNext });
    this.coordinators.set(name, node);
    this.hosts.push(node.host);
    node.start().catch((error: unknown) => {
      this.world.log.warn({ coordinator: name, problem: messageOf(error) }, "a coordinator did not start");
      this.world.clock.setTimer(startAgainMs, () => {
        if (this.coordinators.get(name) === node) this.replace(node);
      });
    });
  }
}

function at<T>(items: readonly T[], nth: number): T | undefined {
  return items[nth % Math.max(1, items.length)];
}
