import type { AnyStateNode, AnyTransitionDefinition } from "xstate";

/** What taking transitions exits and enters, in the order in which their code runs. */
export interface Moves {
  /** Those of the transitions that are taken: of two that exit the same state the inner one is. */
  readonly taken: ReadonlySet<AnyTransitionDefinition>;
  readonly exited: readonly AnyStateNode[];
  readonly entered: readonly AnyStateNode[];
  /** Of those that are entered, the ones whose initial transition is taken. */
  readonly byDefault: ReadonlySet<AnyStateNode>;
}

/**
 * The procedures of SCXML (https://www.w3.org/TR/scxml/#AlgorithmforSCXMLInterpretation) as XState has them, for machines without history
 * and final states.
 */
export function movesOf(
  transitions: readonly AnyTransitionDefinition[],
  active: readonly AnyStateNode[],
): Moves {
  const taken = withoutConflicts(transitions, active);
  const exited = exitSetOf(taken, active).sort((one, other) => other.order - one.order);
  const entry = new EntrySet();
  for (const transition of taken) entry.take(transition);
  const entered = [...entry.states].sort((one, other) => one.order - other.order);
  return { taken, exited, entered, byDefault: entry.byDefault };
}

function withoutConflicts(
  transitions: readonly AnyTransitionDefinition[],
  active: readonly AnyStateNode[],
): Set<AnyTransitionDefinition> {
  const taken = new Set<AnyTransitionDefinition>();
  for (const transition of transitions) {
    const exited = new Set(exitSetOf([transition], active));
    const rivals = [...taken].filter((other) => exitSetOf([other], active).some((node) => exited.has(node)));
    if (rivals.some((rival) => !isWithin(transition.source, rival.source))) continue;
    for (const rival of rivals) taken.delete(rival);
    taken.add(transition);
  }
  return taken;
}

function exitSetOf(
  transitions: Iterable<AnyTransitionDefinition>,
  active: readonly AnyStateNode[],
): AnyStateNode[] {
  const exited = new Set<AnyStateNode>();
  for (const transition of transitions) {
    if (targetsOf(transition).length === 0) continue;
    const domain = domainOf(transition);
    if (transition.reenter && transition.source === domain) exited.add(domain);
    for (const node of active) if (isWithin(node, domain)) exited.add(node);
  }
  return [...exited];
}

function targetsOf({ target }: AnyTransitionDefinition): readonly AnyStateNode[] {
  return target ?? [];
}

/** The state inside of which a transition changes something; undefined: the root itself is entered again. */
function domainOf(transition: AnyTransitionDefinition): AnyStateNode | undefined {
  const { source, reenter } = transition;
  const targets = targetsOf(transition);
  if (!reenter && targets.every((target) => target === source || isWithin(target, source))) return source;
  const [head, ...others] = [...targets, source];
  const common = ancestorsOf(head).find((node) => others.every((other) => isWithin(other, node)));
  if (common !== undefined) return common;
  return reenter ? undefined : source.machine.root;
}

/** A state's ancestors below another one, the nearest first. */
function ancestorsOf(node: AnyStateNode | undefined, below?: AnyStateNode): AnyStateNode[] {
  const ancestors: AnyStateNode[] = [];
  if (node === below) return ancestors;
  for (let at = node?.parent; at !== undefined && at !== below; at = at.parent) ancestors.push(at);
  return ancestors;
}

/** Everything is within no state. */
function isWithin(node: AnyStateNode, ancestor: AnyStateNode | undefined): boolean {
  return ancestor === undefined || ancestorsOf(node).includes(ancestor);
}

function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states);
}

class EntrySet {
  readonly states = new Set<AnyStateNode>();
  readonly byDefault = new Set<AnyStateNode>();

  take(transition: AnyTransitionDefinition): void {
    const domain = domainOf(transition);
    const { source, reenter } = transition;
    const targets = targetsOf(transition);
    for (const target of targets) {
      if (source !== target || source !== domain || reenter) this.#add(target);
      this.#addWithin(target);
    }
    const above = source.parent === undefined && reenter ? undefined : domain;
    for (const target of targets) {
      const ancestors = ancestorsOf(target, domain);
      if (domain?.type === "parallel") ancestors.push(domain);
      this.#addAncestors(ancestors, above);
    }
  }

  #add(node: AnyStateNode): void {
    this.states.add(node);
    this.byDefault.add(node);
  }

  #addWithin(node: AnyStateNode): void {
    if (node.type === "compound") {
      const [initial] = node.initial.target ?? [];
      if (initial === undefined) return;
      this.#add(initial);
      this.#addWithin(initial);
      this.#addAncestors(ancestorsOf(initial, node), undefined);
    } else if (node.type === "parallel") {
      for (const child of childrenOf(node)) {
        if (this.#hasWithin(child)) continue;
        this.#add(child);
        this.#addWithin(child);
      }
    }
  }

  #addAncestors(ancestors: readonly AnyStateNode[], below: AnyStateNode | undefined): void {
    for (const ancestor of ancestors) {
      if (isWithin(ancestor, below)) this.states.add(ancestor);
      if (ancestor.type !== "parallel") continue;
      for (const child of childrenOf(ancestor)) {
        if (this.#hasWithin(child)) continue;
        this.states.add(child);
        this.#addWithin(child);
      }
    }
  }

  #hasWithin(node: AnyStateNode): boolean {
    return [...this.states].some((state) => isWithin(state, node));
  }
}
