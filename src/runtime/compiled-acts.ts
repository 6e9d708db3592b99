import type { AnyStateMachine, EventObject } from "xstate";

/** An event on its way through a machine. */
export interface Run {
  context: unknown;
  event: EventObject;
  /** What the machine has raised, to be taken before it is done. */
  readonly raised: EventObject[];
  /** What it has emitted. */
  readonly commands: EventObject[];
}

/** Code of a machine that acts. */
export type Act = (run: Run) => void;
/** Code of a machine that decides. */
export type Guard = (run: Run) => boolean;

type Code = (args: object, params: unknown) => unknown;
/** As a machine's configuration names code. */
type Ref = string | Code | { readonly type: string; readonly params?: unknown };

/** What XState's own actions carry. */
interface Builtin extends Code {
  readonly type: string;
  readonly resolve: unknown;
  readonly assignment?: unknown;
  readonly event?: unknown;
  readonly delay?: unknown;
  readonly collect?: Code;
}

function paramsOf(ref: Ref): (run: Run) => unknown {
  const params = typeof ref === "object" ? ref.params : undefined;
  return typeof params === "function"
    ? ({ context, event }) => (params as Code)({ context, event }, undefined)
    : () => params;
}

function isBuiltin(code: Code): code is Builtin {
  return "resolve" in code;
}

/** @returns undefined for one that XState itself has to evaluate */
export function guardOf(given: unknown, { implementations }: AnyStateMachine): Guard | undefined {
  const ref = given as Ref;
  const code: unknown =
    typeof ref === "function" ? ref : implementations.guards[typeof ref === "string" ? ref : ref.type];
  if (typeof code !== "function" || "check" in code) return undefined;
  const params = paramsOf(ref);
  return (run) => Boolean((code as Code)({ context: run.context, event: run.event }, params(run)));
}

function refused(): never {
  throw new Error("a machine that runs without an actor enqueues actions, assign, emit and raise alone");
}

/** Looks the code of a machine's actions up, once. */
export class ActCompiler {
  readonly #machine: AnyStateMachine;
  /** What the action that runs has enqueued. */
  #enqueued: Act[] = [];
  readonly #named = new Map<string, Act | undefined>();
  readonly #enqueue = Object.assign((ref: Ref) => void this.#enqueued.push(this.actOf(ref) ?? refused), {
    assign: (assignment: unknown) => void this.#enqueued.push(assigning(assignment, noParams)),
    emit: (event: unknown) => void this.#enqueued.push(emitting(event, noParams)),
    raise: (event: unknown, options?: { readonly delay?: unknown }) =>
      void this.#enqueued.push(options?.delay === undefined ? raising(event, noParams) : refused),
    cancel: refused,
    sendTo: refused,
    sendParent: refused,
    spawnChild: refused,
    stopChild: refused,
  });

  constructor(machine: AnyStateMachine) {
    this.#machine = machine;
  }

  /** @returns undefined for one that XState itself has to run */
  actOf(given: unknown): Act | undefined {
    const ref = given as Ref;
    if (typeof ref !== "string") return this.#compiled(ref);
    if (!this.#named.has(ref)) this.#named.set(ref, this.#compiled(ref));
    return this.#named.get(ref);
  }

  #compiled(ref: Ref): Act | undefined {
    const { actions } = this.#machine.implementations;
    const code: unknown = typeof ref === "function" ? ref : actions[typeof ref === "string" ? ref : ref.type];
    if (code === undefined) return () => undefined;
    if (typeof code !== "function") return undefined;
    const params = paramsOf(ref);
    const own = code as Code;
    if (!isBuiltin(own)) return (run) => void own({ context: run.context, event: run.event }, params(run));
    if (own.type === "xstate.assign") return assigning(own.assignment, params);
    if (own.type === "xstate.emit") return emitting(own.event, params);
    if (own.type === "xstate.raise" && own.delay === undefined) return raising(own.event, params);
    const { collect } = own;
    return own.type === "xstate.enqueueActions" && collect !== undefined
      ? this.#enqueueing(collect, params)
      : undefined;
  }

  #enqueueing(collect: Code, params: (run: Run) => unknown): Act {
    return (run) => {
      const { context, event } = run;
      this.#enqueued = [];
      const check = (ref: Ref) => (guardOf(ref, this.#machine) ?? refused)(run);
      collect({ context, event, enqueue: this.#enqueue, check }, params(run));
      for (const act of this.#enqueued) act(run);
    };
  }
}

function noParams(): undefined {
  return undefined;
}

function assigning(assignment: unknown, params: (run: Run) => unknown): Act {
  const partial: Code =
    typeof assignment === "function" ? (assignment as Code) : (args, given) => each(assignment, args, given);
  return (run) => {
    const { context, event } = run;
    run.context = Object.assign({}, context, partial({ context, event, spawn: refused }, params(run)));
  };
}

/** An assignment that names each property, with a value or with code that makes it. */
function each(assignment: unknown, args: object, given: unknown): object {
  return Object.fromEntries(
    Object.entries(assignment as object).map(([name, value]: [string, unknown]) => [
      name,
      typeof value === "function" ? (value as Code)(args, given) : value,
    ]),
  );
}

function emitting(event: unknown, params: (run: Run) => unknown): Act {
  return (run) => void run.commands.push(made(event, run, params));
}

function raising(event: unknown, params: (run: Run) => unknown): Act {
  return (run) => void run.raised.push(made(event, run, params));
}

function made(event: unknown, run: Run, params: (run: Run) => unknown): EventObject {
  const { context, event: cause } = run;
  const result =
    typeof event === "function" ? (event as Code)({ context, event: cause }, params(run)) : event;
  return result as EventObject;
}
