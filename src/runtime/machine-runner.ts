import type { AnyMachineSnapshot, AnyStateMachine, EventObject } from "xstate";
import { assert } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import type { Log } from "../base/ports.js";
import type { RestoredState } from "./actor.js";
import { liveRoots, type MachineRoot, type MakeRoot, type RootPorts } from "./machine-root.js";

/** Steps without an event (`always`, raised events) after which a machine is taken to go round in circles. */
const maxIterations = 1_000;

/** What a transition asks of the clock. Without a delay: the delayed event of that id is cancelled. */
export type TimerChange =
  | { readonly id: string; readonly event: EventObject; readonly delayMs: number }
  | { readonly id: string; readonly event: undefined };

/** What a transition asks of the world, in the order in which the machine asked. */
export interface Effects {
  readonly commands: readonly EventObject[];
  readonly timers: readonly TimerChange[];
}

export const noEffects: Effects = { commands: [], timers: [] };

/** What an actor was started with it needs no more, and would keep for ever: its first state and all that it knew. */
const startedOptions = {};

/**
 * Runs machines one event at a time and hands back what they ask for instead of doing it: emitted events
 * are the commands, and delayed events never reach XState's own scheduler, which loses them on a restart.
 * A transition that throws has no effects at all.
 *
 * The only place that leans on what XState does not promise: `system.scheduler` may be replaced before
 * the start, delayed transitions have the id of their event, `after` of a state node lists them, nothing reads the
 * options after the start.
 * `test/runtime/xstate-conformance.test.ts` fails when a version of XState changes that.
 */
export class MachineRunner {
  readonly #log: Log;
  readonly #makeRoot: MakeRoot;
  readonly #checked = new WeakSet<AnyStateMachine>();
  #commands: EventObject[] = [];
  #timers: TimerChange[] = [];
  #running = false;

  readonly #emitted = (command: EventObject): void => {
    this.#commands.push(command);
  };

  readonly #logged = (...facts: unknown[]): void => {
    this.#log.debug({ facts }, "a machine's log action");
  };

  readonly #scheduler = {
    schedule: (
      source: unknown,
      target: unknown,
      event: EventObject,
      delayMs: number,
      id: string | undefined,
    ): void => {
      if (source !== target)
        throw new Error(`the delayed event '${event.type}' goes to another actor; emit a command instead`);
      if (id === undefined) {
        throw new Error(
          `the delayed event '${event.type}' has no id; give one (raise(event, { id, delay })), so that it can survive a restart`,
        );
      }
      if (!Number.isFinite(delayMs))
        throw new Error(`the delay of '${id}' is ${delayMs}, not a number of milliseconds`);
      this.#timers.push({ id, event, delayMs });
    },
    cancel: (_source: unknown, id: string): void => {
      this.#timers.push({ id, event: undefined });
    },
    cancelAll: (): void => {
      // The owner of the timers decides what becomes of them when the root stops: they outlive an error.
    },
  };

  /** @param roots XState's live actors, unless told */
  constructor(log: Log, roots: (ports: RootPorts) => MakeRoot = liveRoots) {
    this.#log = log;
    const [scheduler, emitted, logged] = [this.#scheduler, this.#emitted, this.#logged];
    this.#makeRoot = roots({ scheduler, emitted, logged });
  }

  /** Starts a machine at its beginning. @throws what its context or entry actions throw */
  begin(machine: AnyStateMachine, input: unknown): { root: MachineRoot; effects: Effects } {
    this.#check(machine);
    return this.#start(this.#makeRoot(machine, { input }));
  }

  /** Starts a machine in a state that it was in; nothing is entered again and nothing comes of it. */
  resume(machine: AnyStateMachine, snapshot: AnyMachineSnapshot): MachineRoot {
    this.#check(machine);
    return this.#start(this.#makeRoot(machine, { snapshot })).root;
  }

  /** Takes one event. @throws what the machine's guards, actions or delays threw; the root is dead then */
  handle(root: MachineRoot, event: EventObject): Effects {
    return this.#collect(root, () => root.send(event));
  }

  #start(root: MachineRoot): { root: MachineRoot; effects: Effects } {
    try {
      const effects = this.#collect(root, () => root.start());
      if (root.options !== undefined) root.options = startedOptions;
      return { root, effects };
    } catch (error) {
      root.stop();
      throw error;
    }
  }

  #collect(root: MachineRoot, run: () => void): Effects {
    this.#running = true;
    try {
      run();
      const snapshot = root.getSnapshot();
      if (snapshot.status === "error") throw snapshot.error;
      for (const child in snapshot.children)
        throw new Error(`the machine spawned the actor '${child}'; emit a command instead`);
      if (this.#commands.length === 0 && this.#timers.length === 0) return noEffects;
      return { commands: this.#commands, timers: this.#timers };
    } finally {
      this.#running = false;
      if (this.#commands.length > 0) this.#commands = [];
      if (this.#timers.length > 0) this.#timers = [];
    }
  }

  #check(machine: AnyStateMachine): void {
    assert(!this.#running, "the code of a machine starts no other machine; emit a command instead");
    if (this.#checked.has(machine)) return;
    for (const node of nodesOf(machine)) {
      if (node.invoke.length === 0) continue;
      throw new Error(
        `state '${node.id}' invokes an actor; emit a command instead, and take its outcome as an event`,
      );
    }
    machine.options.maxIterations = Math.min(machine.options.maxIterations ?? maxIterations, maxIterations);
    this.#checked.add(machine);
  }
}

function nodesOf(machine: AnyStateMachine): AnyStateMachine["root"][] {
  const nodes = [machine.root];
  for (const node of nodes) nodes.push(...Object.values(node.states));
  return nodes;
}

/** What a machine's states are made of is worked out once for each: a new leader takes 100,000 members over. */
const resolved = new WeakMap<AnyStateMachine, Map<string, AnyMachineSnapshot>>();

function resolvedIn(machine: AnyStateMachine, { value, context }: RestoredState): AnyMachineSnapshot {
  const known = resolved.get(machine) ?? new Map<string, AnyMachineSnapshot>();
  resolved.set(machine, known);
  const name = JSON.stringify(value);
  const found = known.get(name) ?? machine.resolveState({ value, context: {} });
  known.set(name, found);
  return { ...found, context: context ?? {} } as AnyMachineSnapshot;
}

/**
 * The snapshot of a state that was kept elsewhere.
 *
 * @throws Error when the machine has no such state
 */
export function snapshotOf(machine: AnyStateMachine, restored: RestoredState): AnyMachineSnapshot {
  const { value, context, history } = restored;
  try {
    if (history === undefined) return resolvedIn(machine, restored);
    const historyValue = Object.fromEntries(
      Object.entries(history).map(([id, remembered]) => [
        id,
        remembered.map((state) => machine.getStateNodeById(state)),
      ]),
    );
    return machine.resolveState({ value, context, historyValue });
  } catch (cause) {
    const problem = `the machine '${machine.id}' has no state ${JSON.stringify(value)}: ${messageOf(cause)}`;
    throw new Error(problem, { cause });
  }
}

/** The delayed transitions that a machine arms on entering the state that it is in. */
export function delayedTransitionsOf(
  snapshot: AnyMachineSnapshot,
): readonly { id: string; event: EventObject; delayMs: number }[] {
  if (snapshot.status !== "active") return [];
  const delayed = new Map<string, number>();
  for (const node of snapshot._nodes) {
    for (const { eventType, delay } of node.after)
      delayed.set(eventType, delayMsOf(delay, snapshot, eventType));
  }
  return [...delayed].map(([id, delayMs]) => ({ id, event: { type: id }, delayMs }));
}

function delayMsOf(delay: unknown, snapshot: AnyMachineSnapshot, id: string): number {
  const named: unknown = typeof delay === "string" ? snapshot.machine.implementations.delays[delay] : delay;
  const delayMs: unknown =
    typeof named === "function"
      ? named({ context: snapshot.context, event: { type: "xstate.init" } }, undefined)
      : named;
  if (typeof delayMs !== "number" || !Number.isFinite(delayMs))
    throw new Error(`the delay of '${id}' is not a number of milliseconds`);
  return delayMs;
}

/** What of a snapshot is needed to be in its state again, as plain JSON; timers come from the host. */
export function plainStateOf(
  snapshot: AnyMachineSnapshot,
): Pick<RestoredState, "value" | "context" | "history"> {
  const history = Object.fromEntries(
    Object.entries(snapshot.historyValue ?? {}).map(([id, nodes]) => [id, nodes.map((node) => node.id)]),
  );
  return {
    value: snapshot.value,
    context: snapshot.context,
    ...(Object.keys(history).length > 0 && { history }),
  };
}
