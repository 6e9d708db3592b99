import type {
  AnyMachineSnapshot,
  AnyStateMachine,
  AnyStateNode,
  AnyTransitionDefinition,
  EventObject,
} from "xstate";
import { type Act, ActCompiler, type Guard, guardOf, type Run } from "./compiled-acts.js";
import { movesOf } from "./state-moves.js";

/** A transition with its code. */
interface Edge {
  readonly definition: AnyTransitionDefinition;
  readonly name: number;
  readonly guard: Guard | undefined;
  readonly acts: readonly Act[];
}

/** A state with its code. */
interface Node {
  readonly on: ReadonlyMap<string, readonly Edge[]>;
  readonly always: readonly Edge[];
  readonly entry: readonly Act[];
  readonly exit: readonly Act[];
  /** When it is entered without one of its children being named. */
  readonly initial: readonly Act[];
}

/** An active state with those inside it. */
interface Active {
  readonly node: Node;
  readonly inner: readonly Active[];
}

/** A set of active states, in XState's order, and all that follows from it alone; a machine has few. */
interface Configuration {
  readonly states: readonly AnyStateNode[];
  readonly value: unknown;
  readonly tags: ReadonlySet<string>;
  readonly root: Active;
  /** Those that may go on by themselves; and for each innermost state which of these are around it, itself first. */
  readonly deciders: readonly Node[];
  readonly chains: readonly (readonly number[])[];
  readonly steps: Map<number | string, Step>;
}

/** What taking some transitions in a configuration comes to. */
interface Step {
  readonly acts: readonly Act[];
  readonly next: Configuration;
}

const none: readonly Edge[] = [];

/**
 * A machine whose structure is worked out once instead of at each event: which transitions there are, what they exit and enter, in which
 * order code runs. The code is the machine's own, and what comes of an event is what XState makes of it: over random statecharts
 * `test/runtime/compiled-machine.test.ts` compares them. For machines of ordinary states: no final or history states, no
 * delays, wildcards or child actors.
 */
export class CompiledMachine {
  readonly #machine: AnyStateMachine;
  readonly #nodes: ReadonlyMap<AnyStateNode, Node>;
  readonly #byName = new Map<string, Configuration>();
  readonly #byStates = new WeakMap<readonly AnyStateNode[], Configuration>();

  private constructor(machine: AnyStateMachine, nodes: ReadonlyMap<AnyStateNode, Node>) {
    this.#machine = machine;
    this.#nodes = nodes;
  }

  /** @returns undefined for a machine that only XState itself can run */
  static of(machine: AnyStateMachine): CompiledMachine | undefined {
    const compiler = new NodeCompiler(machine);
    const nodes = new Map<AnyStateNode, Node>();
    for (const state of statesOf(machine)) {
      const node = compiler.compiled(state);
      if (node === undefined) return undefined;
      nodes.set(state, node);
    }
    return new CompiledMachine(machine, nodes);
  }

  /**
   * Takes an event. What is emitted is handed over once all has succeeded.
   * @returns the same snapshot if nothing of it changes
   * @throws what the machine's code throws
   */
  transition(
    snapshot: AnyMachineSnapshot,
    event: EventObject,
    emitted: (command: EventObject) => void,
  ): AnyMachineSnapshot {
    const begin = this.#configurationOf(snapshot._nodes as AnyStateNode[]);
    const run: Run = { context: snapshot.context, event, raised: [], commands: [] };
    const end = this.#settle(this.#take(begin, chosen(begin.root, run), run), run);
    for (const command of run.commands) emitted(command);
    if (run.context === snapshot.context && end === begin) return snapshot;
    return snapshotIn(end, run.context, snapshot);
  }

  /** Goes on by itself and with what was raised, until there is nothing left to do. */
  #settle(from: Configuration, run: Run): Configuration {
    const { id, options } = this.#machine;
    const max = options.maxIterations ?? Number.POSITIVE_INFINITY;
    let at = from;
    let mayGoOn = true;
    for (let count = 0; count < max; count++) {
      let edges: readonly Edge[] = mayGoOn ? eventless(at, run) : none;
      const isEventless = edges.length > 0;
      if (!isEventless) {
        const raised = run.raised.shift();
        if (raised === undefined) return at;
        run.event = raised;
        edges = chosen(at.root, run);
      }
      const { context } = run;
      const next = this.#take(at, edges, run);
      // One that changes nothing would be taken for ever.
      mayGoOn = !isEventless || next !== at || run.context !== context;
      at = next;
    }
    throw new Error(`the machine '${id}' goes round in circles: more than ${max} steps without an event`);
  }

  #take(at: Configuration, edges: readonly Edge[], run: Run): Configuration {
    const [first] = edges;
    if (first === undefined) return at;
    const name = edges.length === 1 ? first.name : edges.map((edge) => edge.name).join();
    let step = at.steps.get(name);
    if (step === undefined) {
      step = this.#stepOf(at, edges);
      at.steps.set(name, step);
    }
    for (const act of step.acts) act(run);
    return step.next;
  }

  #stepOf(at: Configuration, edges: readonly Edge[]): Step {
    const { taken, exited, entered, byDefault } = movesOf(
      edges.map(({ definition }) => definition),
      at.states,
    );
    const acts = [
      ...exited.flatMap((state) => this.#nodeOf(state).exit),
      ...edges.filter(({ definition }) => taken.has(definition)).flatMap((edge) => edge.acts),
      ...entered.flatMap((state) => {
        const { entry, initial } = this.#nodeOf(state);
        return byDefault.has(state) ? [...entry, ...initial] : entry;
      }),
    ];
    const active = new Set(at.states);
    for (const state of exited) active.delete(state);
    for (const state of entered) active.add(state);
    const isSame = active.size === at.states.length && at.states.every((state) => active.has(state));
    return { acts, next: isSame ? at : this.#configurationOf([...active]) };
  }

  #nodeOf(state: AnyStateNode): Node {
    const node = this.#nodes.get(state);
    if (node === undefined) throw new Error(`'${state.id}' is no state of the machine '${this.#machine.id}'`);
    return node;
  }

  #configurationOf(states: readonly AnyStateNode[]): Configuration {
    const known = this.#byStates.get(states);
    if (known !== undefined) return known;
    const name = states.map(({ order }) => order).join();
    const configuration = this.#byName.get(name) ?? this.#configured(states);
    this.#byName.set(name, configuration);
    this.#byStates.set(states, configuration);
    return configuration;
  }

  #configured(states: readonly AnyStateNode[]): Configuration {
    const active = new Set(states);
    const deciders = states.filter((state) => this.#nodeOf(state).always.length > 0);
    const leaves = states.filter(({ type }) => type === "atomic");
    return {
      states,
      value: valueIn(this.#machine.root, active),
      tags: new Set(states.flatMap(({ tags }) => tags)),
      root: this.#activeOf(this.#machine.root, active),
      deciders: deciders.map((state) => this.#nodeOf(state)),
      chains: leaves.map((leaf) =>
        around(leaf)
          .map((state) => deciders.indexOf(state))
          .filter((at) => at >= 0),
      ),
      steps: new Map(),
    };
  }

  #activeOf(state: AnyStateNode, active: ReadonlySet<AnyStateNode>): Active {
    const inner = childrenIn(state, active).map((child) => this.#activeOf(child, active));
    return { node: this.#nodeOf(state), inner };
  }
}

/** As XState makes it; to spread the one before it takes twenty times as long. */
function snapshotIn(
  { states, value, tags }: Configuration,
  context: unknown,
  before: AnyMachineSnapshot,
): AnyMachineSnapshot {
  return {
    status: before.status,
    output: before.output,
    error: before.error,
    machine: before.machine,
    context,
    _nodes: states,
    value,
    tags,
    children: before.children,
    historyValue: before.historyValue,
    matches: before.matches,
    hasTag: before.hasTag,
    can: before.can,
    getMeta: before.getMeta,
    toJSON: before.toJSON,
  } as AnyMachineSnapshot;
}

/** What an event sets off, the innermost first. */
function chosen({ node, inner }: Active, run: Run): readonly Edge[] {
  let edges = none;
  for (const child of inner) {
    const ofChild = chosen(child, run);
    if (ofChild.length > 0) edges = edges.length === 0 ? ofChild : [...edges, ...ofChild];
  }
  if (edges.length > 0) return edges;
  const edge = passing(node.on.get(run.event.type) ?? none, run);
  return edge === undefined ? none : [edge];
}

/** What goes on by itself: of each innermost state, and what is around it, the first that may. */
function eventless({ deciders, chains }: Configuration, run: Run): readonly Edge[] {
  if (deciders.length === 0) return none;
  const passed = deciders.map(({ always }) => passing(always, run));
  let edges: Edge[] | undefined;
  for (const chain of chains) {
    const at = chain.find((decider) => passed[decider] !== undefined);
    const edge = at === undefined ? undefined : passed[at];
    if (edge === undefined) continue;
    edges ??= [];
    if (!edges.includes(edge)) edges.push(edge);
  }
  return edges ?? none;
}

function passing(edges: readonly Edge[], run: Run): Edge | undefined {
  for (const edge of edges) if (edge.guard === undefined || edge.guard(run)) return edge;
  return undefined;
}

function statesOf(machine: AnyStateMachine): AnyStateNode[] {
  const states: AnyStateNode[] = [machine.root];
  for (const state of states) states.push(...Object.values(state.states));
  return states;
}

function childrenIn(state: AnyStateNode, active: ReadonlySet<AnyStateNode>): AnyStateNode[] {
  return Object.values(state.states).filter((child) => active.has(child));
}

/** A state and those around it, the innermost first. */
function around(state: AnyStateNode): AnyStateNode[] {
  const states = [state];
  for (let at = state.parent; at !== undefined; at = at.parent) states.push(at);
  return states;
}

/** As XState says it: the key of a leaf in a state of which one child is active, else an object of the children. */
function valueIn(state: AnyStateNode, active: ReadonlySet<AnyStateNode>): unknown {
  const children = childrenIn(state, active);
  const [only] = children;
  if (state.type === "compound" && only?.type === "atomic") return only.key;
  return Object.fromEntries(children.map((child) => [child.key, valueIn(child, active)]));
}

class NodeCompiler {
  readonly #machine: AnyStateMachine;
  readonly #acts: ActCompiler;
  #edges = 0;

  constructor(machine: AnyStateMachine) {
    this.#machine = machine;
    this.#acts = new ActCompiler(machine);
  }

  /** @returns undefined for a state that only XState itself can run */
  compiled(state: AnyStateNode): Node | undefined {
    const isOrdinary =
      ["atomic", "compound", "parallel"].includes(state.type) &&
      state.invoke.length === 0 &&
      state.after.length === 0;
    if (!isOrdinary) return undefined;
    const on = new Map<string, readonly Edge[]>();
    for (const [type, definitions] of state.transitions) {
      const edges = this.#edgesOf(definitions);
      if (edges === undefined || type.includes("*")) return undefined;
      on.set(type, edges);
    }
    const always = this.#edgesOf(state.always ?? []);
    const [entry, exit] = [this.#actsOf(state.entry), this.#actsOf(state.exit)];
    const initial = this.#actsOf(state.initial.actions);
    if (always === undefined || entry === undefined || exit === undefined || initial === undefined)
      return undefined;
    return { on, always, entry, exit, initial };
  }

  #edgesOf(definitions: readonly AnyTransitionDefinition[]): Edge[] | undefined {
    return all(definitions.map((definition) => this.#edgeOf(definition)));
  }

  #edgeOf(definition: AnyTransitionDefinition): Edge | undefined {
    const acts = this.#actsOf(definition.actions);
    const isGuarded = definition.guard !== undefined;
    const guard = isGuarded ? guardOf(definition.guard, this.#machine) : undefined;
    if (acts === undefined || (isGuarded && guard === undefined)) return undefined;
    return { definition, name: this.#edges++, guard, acts };
  }

  #actsOf(refs: readonly unknown[]): Act[] | undefined {
    return all(refs.map((ref) => this.#acts.actOf(ref)));
  }
}

/** All of them, or none if one is missing. */
function all<T>(items: readonly (T | undefined)[]): T[] | undefined {
  const found = items.filter((item) => item !== undefined);
  return found.length === items.length ? found : undefined;
}
