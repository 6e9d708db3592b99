import type { AnyStateMachine } from "xstate";

/** A machine as people see it: its states and the arrows between them, in words. Read off the machine, never written by hand. */
export interface Chart {
  readonly name: string;
  readonly root: ChartState;
  /** Every state below the root, parents first. */
  readonly states: readonly ChartState[];
  readonly arrows: readonly ChartArrow[];
}

export interface ChartState {
  /** Unique within the machine: `deployment.running.person.paused`. */
  readonly id: string;
  /** The last part of the id. */
  readonly name: string;
  readonly type: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly description: string | undefined;
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  /** The state that is entered first. */
  readonly initial: string | undefined;
  readonly parent: ChartState | undefined;
  readonly children: readonly ChartState[];
}

/** One transition, as it stands in the machine. */
export interface ChartArrow {
  /** A sentence that names it: `member.update.FAILED: reset / forgive, noteReset → member.update.NEEDING_UPDATE`. */
  readonly id: string;
  readonly source: string;
  /** What sets it off: `reset`, `after lookAgain`, `done`, or `always`. */
  readonly on: string;
  readonly guard: string | undefined;
  readonly actions: readonly string[];
  /** None for a transition that stays where it is. */
  readonly targets: readonly string[];
}

type Node = AnyStateMachine["root"];
export type Transition = Node["always"] extends (infer T)[] | undefined ? T : never;

/** A guard, action or delay as a machine may write it. */
type Part = unknown;

/** Every state node, parents first. */
export function nodesOf(machine: AnyStateMachine): Node[] {
  const nodes: Node[] = [machine.root];
  for (const node of nodes) nodes.push(...Object.values(node.states));
  return nodes;
}

/** Every transition of the machine, in the order of its text. */
export function transitionsOf(machine: AnyStateMachine): Transition[] {
  return nodesOf(machine).flatMap((node) => [
    ...[...node.transitions.values()].flat(),
    ...(node.always ?? []),
  ]);
}

export function chartOf(machine: AnyStateMachine): Chart {
  const root = stateOf(machine.root, undefined);
  const states: ChartState[] = [...root.children];
  for (const state of states) states.push(...state.children);
  return { name: machine.id, root, states: inOrder(root), arrows: arrowsOf(machine) };
}

/** The arrows, in the same order as `transitionsOf`. */
export function arrowsOf(machine: AnyStateMachine): ChartArrow[] {
  const taken = new Map<string, number>();
  return transitionsOf(machine).map((transition) => {
    const arrow = arrowOf(transition);
    const before = taken.get(arrow.id) ?? 0;
    taken.set(arrow.id, before + 1);
    return before === 0 ? arrow : { ...arrow, id: `${arrow.id} (${before + 1})` };
  });
}

function inOrder(state: ChartState): ChartState[] {
  return state.children.flatMap((child) => [child, ...inOrder(child)]);
}

function stateOf(node: Node, parent: ChartState | undefined): ChartState {
  const children: ChartState[] = [];
  const state: ChartState = {
    id: node.id,
    name: node.key,
    type: node.type,
    description: node.description,
    entry: listOf(node.config.entry).map(actionText),
    exit: listOf(node.config.exit).map(actionText),
    initial: node.type === "compound" ? node.initial.target[0]?.id : undefined,
    parent,
    children,
  };
  for (const child of Object.values(node.states)) children.push(stateOf(child, state));
  return state;
}

function arrowOf(transition: Transition): ChartArrow {
  const source = transition.source.id;
  const on = triggerText(transition);
  const guard = transition.guard === undefined ? undefined : guardText(transition.guard);
  const actions = transition.actions.map(actionText);
  const targets = (transition.target ?? []).map((target) => target.id);
  const id = [
    `${source}: ${on}`,
    ...(guard === undefined ? [] : [`[${guard}]`]),
    ...(actions.length === 0 ? [] : [`/ ${actions.join(", ")}`]),
    ...(targets.length === 0 ? [] : [`→ ${targets.join(", ")}`]),
  ].join(" ");
  return { id, source, on, guard, actions, targets };
}

function triggerText(transition: Transition): string {
  const { eventType, source } = transition;
  if (eventType === "") return "always";
  if (eventType === `xstate.done.state.${source.id}`) return "done";
  const delayed = source.after.find((one) => one.eventType === eventType);
  if (delayed === undefined) return eventType;
  return typeof delayed.delay === "number" ? `after ${delayed.delay} ms` : `after ${String(delayed.delay)}`;
}

function listOf(parts: Part): Part[] {
  if (parts === undefined) return [];
  return Array.isArray(parts) ? parts : [parts];
}

/** The name of an action, with what it is given: `note(paused)`. */
export function actionText(action: Part): string {
  const name = nameOf(action);
  if (name === undefined) return "(unnamed)";
  const params =
    typeof action === "object" && action !== null && "params" in action ? action.params : undefined;
  if (typeof params !== "object" || params === null) return name;
  return `${name}(${Object.values(params).join(" ")})`;
}

/** A guard in words: `mayBegin and not isServed`. */
export function guardText(guard: Part): string {
  const parts = guardParts(guard);
  if (parts === undefined) return actionText(guard);
  const texts = parts.guards.map((part) =>
    guardParts(part) === undefined ? guardText(part) : `(${guardText(part)})`,
  );
  return parts.how === "not" ? `not ${texts[0]}` : texts.join(` ${parts.how} `);
}

/** The guards that `and`, `or` and `not` of XState put together; undefined for any other guard. */
export function guardParts(
  guard: Part,
): { readonly how: "and" | "or" | "not"; readonly guards: readonly Part[] } | undefined {
  if (typeof guard !== "function" || !("guards" in guard) || !Array.isArray(guard.guards)) return undefined;
  const how = guard.name;
  return how === "and" || how === "or" || how === "not" ? { how, guards: guard.guards } : undefined;
}

/** What a part is called in `setup`; undefined for one that is written in place. */
export function nameOf(part: Part): string | undefined {
  if (typeof part === "string") return part;
  return typeof part === "object" && part !== null && "type" in part && typeof part.type === "string"
    ? part.type
    : undefined;
}
