import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  and,
  assign,
  createActor,
  type EventFromLogic,
  type EventObject,
  not,
  or,
  type SnapshotFrom,
} from "xstate";
import { getAdjacencyMap } from "xstate/graph";
import { arrowsOf, guardParts, guardText, nameOf, transitionsOf } from "./chart.js";

/** Where paths begin: at the beginning with an input, or in a state that a record was brought back to. */
export interface Start<M extends AnyStateMachine> {
  readonly name: string;
  /** Also needed with `restored`, for what the machine's context is made of. */
  readonly input: unknown;
  readonly restored?: { readonly value: unknown; readonly context: SnapshotFrom<M>["context"] };
}

export interface PathOptions<M extends AnyStateMachine> {
  readonly starts: readonly Start<M>[];
  /** Samples of what may happen in a state; delayed transitions are events named `xstate.after.<delay>.<state id>`. */
  events(snapshot: SnapshotFrom<M>): readonly EventFromLogic<M>[];
  /** The state value and what the guards read of the context, cut so that there are few of them: equal ones are explored once. */
  shorten(snapshot: SnapshotFrom<M>): unknown;
  /** More states than this from one start, and the exploration fails. Default 5,000. */
  readonly statesMax?: number;
}

/** A sequence of events that reaches something that no path before it did. */
export interface Path<M extends AnyStateMachine> {
  /** The start, and the events by their types. */
  readonly name: string;
  readonly start: Start<M>;
  readonly events: readonly EventFromLogic<M>[];
}

export interface Paths<M extends AnyStateMachine> {
  /** The fewest found that hit all that can be hit. */
  readonly paths: readonly Path<M>[];
  /** Each arrow, and each guard of an arrow with both of its outcomes. */
  readonly marks: readonly string[];
  /** Of these, what the paths hit when real actors walked them. */
  readonly hit: ReadonlySet<string>;
  /** States that were told apart. */
  readonly states: number;
}

/**
 * Generates paths through a machine: the shortest to each state of its graph (`xstate/graph`) and each event sample there.
 * Keeps those that hit an arrow or an outcome of a guard first, and walks them with real actors.
 *
 * @throws Error when there are more than `statesMax` states: `shorten` has to cut more
 */
export function generatePaths<M extends AnyStateMachine>(machine: M, options: PathOptions<M>): Paths<M> {
  const marked = markedCopyOf(machine);
  const explored = new Set<string>();
  const hit = new Set<string>();
  const paths: Path<M>[] = [];
  let states = 0;
  for (const start of options.starts) {
    const isEnough = () => marked.marks.every((mark) => explored.has(mark) || marked.noted.has(mark));
    const { result: reached, noted } = marked.during(() => explore(marked.machine, start, options, isEnough));
    states += reached.length;
    for (const { state, way, event } of steps(reached)) {
      if ([...noted].every((mark) => explored.has(mark))) break;
      const news = [...marked.during(() => step(marked.machine, state, event)).noted];
      if (news.every((mark) => explored.has(mark))) continue;
      for (const mark of news) explored.add(mark);
      const events = [...way, event];
      paths.push({ name: [start.name, ...events].map(wordOf).join(" "), start, events });
    }
  }
  for (const path of paths)
    for (const mark of marked.during(() => walk(marked.machine, path)).noted) hit.add(mark);
  return { paths, marks: marked.marks, hit, states };
}

function* steps<M extends AnyStateMachine>(reached: readonly Reached<M>[]) {
  for (const { state, way, tried } of reached) for (const event of tried) yield { state, way, event };
}

/** What the paths do not hit, but for what is excused; and excuses for what they do hit. */
export function missedBy<M extends AnyStateMachine>(
  { marks, hit }: Paths<M>,
  excused: Readonly<Record<string, string>> = {},
): { readonly missed: string[]; readonly excusedButHit: string[] } {
  return {
    missed: marks.filter((mark) => !hit.has(mark) && excused[mark] === undefined),
    excusedButHit: Object.keys(excused).filter((mark) => hit.has(mark) || !marks.includes(mark)),
  };
}

/** A clock that never rings: delayed transitions are taken only where a path says so. */
const stillClock = { setTimeout: () => 0, clearTimeout: () => undefined };

/** Walks a path with a real actor. @returns each state on the way, the first included, and what was emitted before it */
export function walk<M extends AnyStateMachine>(
  machine: M,
  { start, events }: Pick<Path<M>, "start" | "events">,
): { readonly snapshot: SnapshotFrom<M>; readonly emitted: readonly EventObject[] }[] {
  const actor = createActor(machine as AnyStateMachine, {
    input: start.input,
    clock: stillClock,
    ...(start.restored === undefined ? {} : { snapshot: restoredState(machine, start) }),
  });
  let emitted: EventObject[] = [];
  const stops: { snapshot: SnapshotFrom<M>; emitted: readonly EventObject[] }[] = [];
  const stop = (): void => {
    const snapshot = actor.getSnapshot();
    if (snapshot.status === "error") throw snapshot.error;
    stops.push({ snapshot: snapshot as SnapshotFrom<M>, emitted });
    emitted = [];
  };
  actor.on("*", (command: EventObject) => emitted.push(command));
  actor.subscribe({ error: () => undefined });
  actor.start();
  stop();
  for (const event of events) {
    actor.send(event);
    stop();
  }
  return stops;
}

function restoredState(machine: AnyStateMachine, start: Start<AnyStateMachine>): AnyMachineSnapshot {
  return machine.resolveState(start.restored as Parameters<AnyStateMachine["resolveState"]>[0]);
}

/** What was reached, by which events, and what was tried there; the exploration ends when it has seen enough. */
interface Reached<M extends AnyStateMachine> {
  readonly state: SnapshotFrom<M>;
  readonly way: readonly EventFromLogic<M>[];
  readonly tried: readonly EventFromLogic<M>[];
}

function explore<M extends AnyStateMachine>(
  machine: M,
  start: Start<M>,
  { events, shorten, statesMax = 5_000 }: PathOptions<M>,
  isEnough: () => boolean,
): Reached<M>[] {
  const seen = new Set<string>();
  const [beginning] = walk(machine, { start, events: [] });
  const graph = getAdjacencyMap(machine as AnyStateMachine, {
    input: start.input,
    fromState: beginning?.snapshot as AnyMachineSnapshot,
    stopWhen: isEnough,
    events: (snapshot: AnyMachineSnapshot) => distinct(events(snapshot as SnapshotFrom<M>)),
    serializeState: (snapshot: AnyMachineSnapshot) => {
      const key = JSON.stringify(shorten(snapshot as SnapshotFrom<M>));
      seen.add(key);
      if (seen.size > statesMax)
        throw new Error(`more than ${statesMax} states from ${start.name}: shorten them`);
      return key;
    },
  });
  // Each state stands for all that are equal to it when shortened, so its way has to be the one that led to itself.
  const ways = new Map<unknown, readonly EventFromLogic<M>[]>([[beginning?.snapshot, []]]);
  return Object.values(graph).map(({ state, transitions }) => {
    const way = ways.get(state);
    if (way === undefined) throw new Error("a state of the graph was reached by no event");
    const tried = Object.values<{ event: EventObject; state: AnyMachineSnapshot }>(transitions).map(
      (taken) => {
        const event = taken.event as EventFromLogic<M>;
        if (!ways.has(taken.state)) ways.set(taken.state, [...way, event]);
        return event;
      },
    );
    return { state: state as SnapshotFrom<M>, way, tried };
  });
}

function distinct<T>(events: readonly T[]): T[] {
  return [...new Map(events.map((event) => [JSON.stringify(event), event])).values()];
}

function step(machine: AnyStateMachine, state: AnyMachineSnapshot, event: EventObject): void {
  if (state.status !== "active") return;
  const actor = createActor(machine, { snapshot: state, clock: stillClock });
  actor.subscribe({ error: () => undefined });
  actor.start();
  actor.send(event);
  const after = actor.getSnapshot();
  if (after.status === "error") throw after.error;
}

/** A copy of the machine that notes each arrow that is taken and each outcome of a guard of an arrow. */
function markedCopyOf<M extends AnyStateMachine>(machine: M) {
  const copy = machine.provide({}) as M;
  copy.options.maxIterations = 1_000;
  const marks: string[] = [];
  const marked = {
    machine: copy,
    marks,
    /** Noted since `during` began. */
    noted: new Set<string>(),
    during<T>(act: () => T): { readonly result: T; readonly noted: ReadonlySet<string> } {
      const noted = new Set<string>();
      marked.noted = noted;
      return { result: act(), noted };
    },
  };
  const arrows = arrowsOf(copy);
  transitionsOf(copy).forEach((transition, at) => {
    const id = arrows[at]?.id ?? "";
    marks.push(id);
    const writable = transition as { guard?: unknown; actions: readonly unknown[] };
    const note = assign(() => {
      marked.noted.add(id);
      return {};
    });
    writable.actions = [note, ...transition.actions];
    const { guard } = transition;
    if (guard === undefined) return;
    writable.guard = markedGuard(copy, guard, (name, holds) => {
      marked.noted.add(outcomeMark(id, name, holds));
    });
    for (const name of leavesOf(guard)) marks.push(outcomeMark(id, name, true), outcomeMark(id, name, false));
  });
  return marked;
}

function outcomeMark(arrow: string, guard: string, holds: boolean): string {
  return `${arrow} where ${guard} ${holds ? "holds" : "does not hold"}`;
}

function leavesOf(guard: unknown): string[] {
  const parts = guardParts(guard);
  return parts === undefined ? [guardText(guard)] : parts.guards.flatMap(leavesOf);
}

type GuardFunction = (args: { context: unknown; event: unknown }, params: unknown) => boolean;

function markedGuard(
  machine: AnyStateMachine,
  guard: unknown,
  note: (name: string, holds: boolean) => void,
): unknown {
  const parts = guardParts(guard);
  if (parts !== undefined) {
    const guards = parts.guards.map((part) => markedGuard(machine, part, note)) as GuardFunction[];
    if (parts.how === "not") return not(guards[0] as GuardFunction);
    return parts.how === "and" ? and(guards) : or(guards);
  }
  const name = nameOf(guard) ?? "";
  const implemented = machine.implementations.guards[name] as GuardFunction | undefined;
  if (implemented === undefined || "check" in implemented)
    throw new Error(`the guard ${name} is no plain function of setup`);
  const params = typeof guard === "object" && guard !== null && "params" in guard ? guard.params : undefined;
  return (args: Parameters<GuardFunction>[0]) => {
    const holds = implemented(args, params);
    note(guardText(guard), holds);
    return holds;
  };
}

function wordOf(part: string | EventObject): string {
  return typeof part === "string" ? `${part}:` : part.type;
}
