import type { AnyStateMachine, EventObject } from "xstate";
import { assert } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import type { Bus, Clock, Log, Random, Subscription } from "../base/ports.js";
import type { Actor, ActorHost, ActorSpec, DeadLetter, HostStats } from "./actor.js";
import { type ActorPattern, ActorService } from "./actor-service.js";
import { DeadLetters } from "./dead-letters.js";
import { type HostCounters, HostedActor, type HostServices } from "./hosted-actor.js";
import { Inspection, type InspectionObserver } from "./inspection.js";
import { defaultLimits, type HostLimits } from "./limits.js";
import { liveRoots, stateRoots } from "./machine-root.js";
import { MachineRunner } from "./machine-runner.js";
import { Turns } from "./turns.js";
import type { ActorSubjects } from "./watches.js";

/** What an actor host needs of the world. */
export interface ActorHostOptions {
  /** The name of this process, in answers and inspection events. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** With both, the state of each actor can be asked for and watched over the bus. */
  readonly bus?: Bus;
  readonly subjects?: ActorSubjects;
  /** The actors for which this host answers over the bus: all of its own, unless its credentials allow less. */
  readonly answersFor?: readonly ActorPattern[];
  readonly limits?: Partial<HostLimits>;
  /**
   * How machines run: as XState's live actors, or as states alone, which come to the same with less memory and time
   * (`machine-root.ts`). Default: `actors`.
   */
  readonly machinesAs?: "actors" | "states";
}

/** An actor host that can be looked into. */
export interface InspectableHost extends ActorHost {
  /** Calls the observer with each handled event until it unsubscribes. */
  inspect(observer: InspectionObserver): Subscription;
}

/**
 * Makes a host: the place where actors live in this process.
 *
 * @example
 * const host = createActorHost({ node: "here", clock: createRealClock(), random, log });
 * const light = host.spawn({ kind: "light", id: "l1", machine, perform: (command) => console.log(command) });
 * light.send({ type: "GO" });
 */
export function createActorHost(options: ActorHostOptions): InspectableHost {
  return new Host(options);
}

class Host implements InspectableHost {
  readonly #limits: HostLimits;
  readonly #deadLetters: DeadLetters;
  readonly #inspection: Inspection;
  readonly #turns: Turns;
  readonly #services: HostServices;
  readonly #counters: HostCounters = {
    queued: 0,
    handled: 0,
    savesUnderWay: 0,
    restarts: 0,
    givenUp: 0,
    failedCommands: 0,
  };
  readonly #actors = new Map<string, Map<string, HostedActor>>();
  readonly #service: ActorService | undefined;
  #actorCount = 0;
  #waiting: (() => void)[] = [];
  #stopped = false;

  constructor(options: ActorHostOptions) {
    const { node, clock, random, log, bus, subjects, answersFor, limits, machinesAs } = options;
    this.#limits = { ...defaultLimits, ...limits };
    this.#deadLetters = new DeadLetters(clock, log, this.#limits.deadLettersKeptMax);
    this.#inspection = new Inspection(
      node,
      () => clock.nowMs(),
      (error) => log.error({ error: messageOf(error) }, "an observer of the actors threw"),
    );
    this.#turns = new Turns(clock, this.#limits, () => this.#tellIdle());
    this.#services = {
      clock,
      log,
      limits: this.#limits,
      runner: new MachineRunner(log, machinesAs === "states" ? stateRoots : liveRoots),
      deadLetters: this.#deadLetters,
      inspection: this.#inspection,
      counters: this.#counters,
      wake: (actor) => this.#turns.enqueue(actor),
      settled: () => this.#tellIdle(),
      gone: (actor) => this.#forget(actor),
    };
    if (bus === undefined || subjects === undefined) return;
    this.#service = new ActorService({
      node,
      incarnation: random.id(),
      clock,
      bus,
      subjects,
      answersFor: answersFor ?? [{ kind: "*", id: "*" }],
      limits: this.#limits,
      inspection: this.#inspection,
      find: (kind, id) => this.find(kind, id),
    });
  }

  spawn<M extends AnyStateMachine>(spec: ActorSpec<M>): Actor<M> {
    const { kind, id } = spec;
    assert(!this.#stopped, `a stopped host starts no actor, ${kind}/${id}`);
    assert(this.find(kind, id) === undefined, `there is an actor ${kind}/${id} already`);
    assert(this.#actorCount < this.#limits.actorsMax, `a host runs at most ${this.#limits.actorsMax} actors`);
    const actor = this.#started(spec as unknown as ActorSpec<AnyStateMachine>);
    let ofKind = this.#actors.get(kind);
    if (ofKind === undefined) {
      ofKind = new Map();
      this.#actors.set(kind, ofKind);
    }
    ofKind.set(id, actor);
    this.#actorCount++;
    if (actor.hasWork()) this.#turns.enqueue(actor);
    return actor as unknown as Actor<M>;
  }

  find(kind: string, id: string): HostedActor | undefined {
    return this.#actors.get(kind)?.get(id);
  }

  *list(kind?: string): Iterable<Actor> {
    if (kind !== undefined) yield* this.#actors.get(kind)?.values() ?? [];
    else for (const ofKind of this.#actors.values()) yield* ofKind.values();
  }

  send(kind: string, id: string, event: EventObject): boolean {
    const actor = this.find(kind, id);
    if (actor !== undefined) return actor.send(event);
    this.#deadLetters.add(kind, id, String(event?.type), "unknownActor");
    return false;
  }

  get stats(): HostStats {
    const { queued, handled, restarts, givenUp, failedCommands } = this.#counters;
    return {
      actors: this.#actorCount,
      queued,
      handled,
      deadLetters: this.#deadLetters.total,
      deadLettersBy: this.#deadLetters.counts,
      restarts,
      givenUp,
      failedCommands,
    };
  }

  deadLetters(): readonly DeadLetter[] {
    return this.#deadLetters.newest();
  }

  inspect(observer: InspectionObserver): Subscription {
    return this.#inspection.observe(observer);
  }

  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  stop(): void {
    this.#stopped = true;
    this.#service?.stop();
    for (const actor of [...this.list()]) actor.stop();
    this.#turns.stop();
    this.#tellIdle();
  }

  #started(spec: ActorSpec<AnyStateMachine>): HostedActor {
    try {
      return new HostedActor(spec, this.#services);
    } catch (cause) {
      throw new Error(`the actor ${spec.kind}/${spec.id} cannot start: ${messageOf(cause)}`, { cause });
    }
  }

  #forget(actor: HostedActor): void {
    const ofKind = this.#actors.get(actor.kind);
    if (ofKind?.get(actor.id) !== actor) return;
    ofKind.delete(actor.id);
    if (ofKind.size === 0) this.#actors.delete(actor.kind);
    this.#actorCount--;
  }

  #isIdle(): boolean {
    return this.#turns.quiet && this.#counters.queued === 0 && this.#counters.savesUnderWay === 0;
  }

  #tellIdle(): void {
    if (this.#waiting.length === 0 || !this.#isIdle()) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
