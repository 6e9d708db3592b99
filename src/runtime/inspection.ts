import type { AnyMachineSnapshot } from "xstate";
import type { Subscription } from "../base/ports.js";

/** One handled event, as an observer sees it. */
export interface InspectionEvent {
  /** Grows by one for each event of this host while it is observed. */
  readonly seq: number;
  readonly node: string;
  readonly kind: string;
  readonly id: string;
  /** Epoch milliseconds. */
  readonly at: number;
  /** The type of the event that was handled. */
  readonly event: string;
  readonly value: AnyMachineSnapshot["value"];
  readonly status: AnyMachineSnapshot["status"];
  /** The top-level fields of the public view that changed; a field that went is `null`. Left out when nothing changed. */
  readonly context?: Readonly<Record<string, unknown>>;
}

/** What the inspection needs to know of an actor. */
export interface Inspected {
  readonly kind: string;
  readonly id: string;
  viewOf(snapshot: AnyMachineSnapshot): Readonly<Record<string, unknown>> | undefined;
}

/** Says who watches an actor; an observer that does not want an actor costs it nothing more. */
export interface InspectionObserver {
  wants?(kind: string, id: string): boolean;
  next(event: InspectionEvent): void;
}

/** Hands each handled event to whoever observes the host. While nobody does, an actor pays one branch: {@link active}. */
export class Inspection {
  readonly #node: string;
  readonly #nowMs: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #observers = new Set<InspectionObserver>();
  #seq = 0;
  /** True while somebody observes. */
  active = false;

  constructor(node: string, nowMs: () => number, onError: (error: unknown) => void) {
    this.#node = node;
    this.#nowMs = nowMs;
    this.#onError = onError;
  }

  observe(observer: InspectionObserver): Subscription {
    this.#observers.add(observer);
    this.active = true;
    return {
      unsubscribe: () => {
        this.#observers.delete(observer);
        this.active = this.#observers.size > 0;
      },
    };
  }

  saw(actor: Inspected, eventType: string, before: AnyMachineSnapshot, after: AnyMachineSnapshot): void {
    let event: InspectionEvent | undefined;
    for (const observer of this.#observers) {
      if (observer.wants?.(actor.kind, actor.id) === false) continue;
      try {
        event ??= this.#eventOf(actor, eventType, before, after);
        observer.next(event);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  #eventOf(
    actor: Inspected,
    eventType: string,
    before: AnyMachineSnapshot,
    after: AnyMachineSnapshot,
  ): InspectionEvent {
    const { kind, id } = actor;
    const { value, status } = after;
    const context = before === after ? undefined : changeBetween(actor.viewOf(before), actor.viewOf(after));
    const event = {
      seq: ++this.#seq,
      node: this.#node,
      kind,
      id,
      at: this.#nowMs(),
      event: eventType,
      value,
      status,
    };
    return context === undefined ? event : { ...event, context };
  }
}

type View = Readonly<Record<string, unknown>>;

function changeBetween(before: View = {}, after: View = {}): View | undefined {
  const change: Record<string, unknown> = {};
  for (const field in after) {
    if (before[field] !== after[field] && JSON.stringify(before[field]) !== JSON.stringify(after[field]))
      change[field] = after[field];
  }
  for (const field in before) if (!(field in after)) change[field] = null;
  return Object.keys(change).length === 0 ? undefined : change;
}
