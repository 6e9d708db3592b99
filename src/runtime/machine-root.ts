import {
  type AnyActorScope,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  createActor,
  createMachine,
  type EventObject,
} from "xstate";
import { CompiledMachine } from "./compiled-machine.js";

/** A machine that runs; `options` is what it was started with. */
export interface MachineRoot {
  options?: object;
  start(): unknown;
  send(event: EventObject): void;
  getSnapshot(): AnyMachineSnapshot;
  stop(): unknown;
}

/** In what a machine begins: its beginning, or a state that it was in. */
export type Beginning = { readonly input: unknown } | { readonly snapshot: AnyMachineSnapshot };

/** Makes a root that was not started yet. */
export type MakeRoot = (machine: AnyStateMachine, beginning: Beginning) => MachineRoot;

type System = AnyActorScope["system"];

/** What machines ask for goes here. */
export interface RootPorts {
  readonly scheduler: System["scheduler"];
  readonly emitted: (command: EventObject) => void;
  readonly logged: (...facts: unknown[]) => void;
}

function ignore(): void {
  // The error is read from the snapshot; without an observer XState would throw it from a timer and end the process.
}

/** XState's root actors, each in a system of its own. */
export function liveRoots({ scheduler, emitted, logged }: RootPorts): MakeRoot {
  return (machine, beginning) => {
    const root = createActor(machine, { ...beginning, logger: logged });
    root.system.scheduler = scheduler;
    root.subscribe({ error: ignore });
    root.on("*", emitted);
    return root;
  };
}

/** All that the states of {@link stateRoots} share: one runs at a time. */
interface Shared {
  readonly scope: AnyActorScope;
  /** What a transition asks for, done once it has succeeded. */
  readonly deferred: (() => void)[];
  next(snapshot: AnyMachineSnapshot, event: EventObject): AnyMachineSnapshot;
}

/**
 * States alone, moved by {@link CompiledMachine}, or by XState's transition function where that does not know all of a machine: the same
 * states, commands and timers as live actors come to, in a quarter of their memory. There is no actor to send to: a machine whose code sends
 * anything, be it to itself, fails; it raises or emits.
 */
export function stateRoots({ scheduler, emitted, logged }: RootPorts): MakeRoot {
  const compiled = new Map<AnyStateMachine, CompiledMachine | undefined>();
  const deferred: Shared["deferred"] = [];
  const self = createActor(createMachine({}), { logger: logged });
  const system: System & { readonly _relay: () => never } = {
    ...self.system,
    scheduler,
    _relay: () => {
      throw new Error("a machine that runs without an actor sends nothing; emit a command instead");
    },
  };
  const scope: AnyActorScope = {
    self,
    id: self.id,
    sessionId: self.sessionId,
    logger: logged,
    defer: (effect) => void deferred.push(effect),
    system,
    stopChild: ignore,
    emit: emitted,
    actionExecutor: ({ exec, info, params }) => exec?.(info, params),
  };
  const next: Shared["next"] = (snapshot, event) => {
    const { machine } = snapshot as { readonly machine: AnyStateMachine };
    if (!compiled.has(machine)) compiled.set(machine, CompiledMachine.of(machine));
    const own = compiled.get(machine);
    return own === undefined
      ? machine.transition(snapshot, event, scope)
      : own.transition(snapshot, event, emitted);
  };
  return (machine, beginning) => new StateRoot({ scope, deferred, next }, machine, beginning);
}

class StateRoot implements MachineRoot {
  readonly #shared: Shared;
  #snapshot: AnyMachineSnapshot;

  constructor(shared: Shared, machine: AnyStateMachine, beginning: Beginning) {
    this.#shared = shared;
    this.#snapshot =
      "snapshot" in beginning
        ? beginning.snapshot
        : machine.getInitialSnapshot(shared.scope, beginning.input);
  }

  start(): void {
    this.#take(() => this.#snapshot);
  }

  send(event: EventObject): void {
    this.#take(() => this.#shared.next(this.#snapshot, event));
  }

  getSnapshot(): AnyMachineSnapshot {
    return this.#snapshot;
  }

  stop(): void {
    // Nothing of it runs.
  }

  /** @throws what the machine's code threw; nothing comes of the transition then */
  #take(transition: () => AnyMachineSnapshot): void {
    const { deferred } = this.#shared;
    try {
      const next = transition();
      if (next.status !== "error") for (const effect of deferred) effect();
      this.#snapshot = next;
    } finally {
      deferred.length = 0;
    }
  }
}
