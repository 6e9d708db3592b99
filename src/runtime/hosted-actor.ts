import type { AnyMachineSnapshot, AnyStateMachine, EventObject } from "xstate";
import { assert } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import type { Clock, Timer } from "../base/ports.js";
import type { ActorSpec, ArmedTimer, DeadLetterReason, RestoredState } from "./actor.js";
import { ArmedTimers, type DelayedEvent } from "./armed-timers.js";
import type { DeadLetters } from "./dead-letters.js";
import type { Inspected, Inspection } from "./inspection.js";
import type { HostLimits } from "./limits.js";
import type { MachineRoot } from "./machine-root.js";
import {
  delayedTransitionsOf,
  type Effects,
  type MachineRunner,
  noEffects,
  snapshotOf,
  type TimerChange,
} from "./machine-runner.js";
import { defaultMailbox, Mailbox } from "./mailbox.js";
import { Outbox, type OutboxHost, type OutboxOwner, type RunningSpec } from "./outbox.js";
import { RestartBudget } from "./restart-budget.js";
import type { Worker } from "./turns.js";

/** Counted over all actors of a host. */
export interface HostCounters {
  queued: number;
  handled: number;
  savesUnderWay: number;
  restarts: number;
  givenUp: number;
  failedCommands: number;
}

/** What a host shares among its actors. */
export interface HostServices extends OutboxHost {
  readonly clock: Clock;
  readonly limits: HostLimits;
  readonly runner: MachineRunner;
  readonly deadLetters: DeadLetters;
  readonly inspection: Inspection;
  readonly counters: HostCounters;
  /** The actor has something to do. */
  wake(actor: HostedActor): void;
  /** The actor is stopped. */
  gone(actor: HostedActor): void;
}

/**
 * `running` handles events; `down` waits for its restart; `final` is at the end of its machine; `stopped` is
 * gone from the host.
 */
export type Phase = "running" | "down" | "final" | "stopped";

/**
 * One actor of a host: takes events from its mailbox and its timers, one at a time, and passes on what
 * comes of them. What not every actor has (timers, a mailbox that was used, failures) is made when
 * needed, for there may be 100,000.
 */
export class HostedActor implements Worker, Inspected, OutboxOwner {
  readonly kind: string;
  readonly id: string;
  inQueue = false;
  readonly #host: HostServices;
  readonly #spec: RunningSpec;
  readonly #outbox: Outbox;
  #phase: Phase = "running";
  #root: MachineRoot;
  #snapshot: AnyMachineSnapshot;
  /** What came of the start, until the first turn. */
  #beginning: Effects | undefined;
  #mailbox: Mailbox | undefined;
  #timers: ArmedTimers | undefined;
  #budget: RestartBudget | undefined;
  #restart: Timer | undefined;

  /** @throws what the machine throws at its start, and Error when it has no such state as the restored one */
  constructor(spec: ActorSpec<AnyStateMachine>, host: HostServices) {
    this.kind = spec.kind;
    this.id = spec.id;
    this.#host = host;
    const { input, restored, ...running } = spec;
    this.#spec = running;
    this.#outbox = new Outbox(running, this, host);
    if (restored === undefined) {
      const { root, effects } = host.runner.begin(spec.machine, input);
      this.#root = root;
      this.#snapshot = root.getSnapshot();
      this.#beginning = effects;
      this.#change(effects.timers);
    } else {
      this.#snapshot = snapshotOf(spec.machine, restored);
      this.#root = host.runner.resume(spec.machine, this.#snapshot);
      this.#outbox.assumeSaved(this.#snapshot, restored.timers ?? []);
      this.#arm(restored.timers);
    }
    if (this.#snapshot.status === "done") this.#finish();
  }

  get phase(): Phase {
    return this.#phase;
  }

  get urgent(): boolean {
    return this.#spec.urgent === true;
  }

  get stopped(): boolean {
    return this.#phase === "stopped";
  }

  get queued(): number {
    return this.#mailbox?.size ?? 0;
  }

  get saved(): boolean {
    return this.#spec.durable === undefined || (this.#beginning === undefined && this.#outbox.saved);
  }

  snapshot(): AnyMachineSnapshot {
    return this.#snapshot;
  }

  timers(): readonly ArmedTimer[] {
    return this.#timers === undefined ? [] : this.#timers.list();
  }

  viewOf(snapshot: AnyMachineSnapshot): Readonly<Record<string, unknown>> | undefined {
    return this.#spec.publicView?.(snapshot);
  }

  send(event: EventObject): boolean {
    const refusal = this.#refusalOf(event);
    if (refusal !== undefined) {
      this.dead(event, refusal);
      return false;
    }
    this.#mailbox ??= new Mailbox();
    const before = this.#mailbox.size;
    const dropped = this.#mailbox.put(event, this.#spec.mailbox ?? defaultMailbox);
    this.#host.counters.queued += this.#mailbox.size - before;
    if (dropped !== undefined) this.dead(dropped, "mailboxFull");
    if (!this.inQueue) this.unblocked();
    return dropped !== event;
  }

  stop(): void {
    if (this.stopped) return;
    this.#phase = "stopped";
    this.#restart?.cancel();
    this.#timers?.cancelAll();
    this.#root.stop();
    for (const command of this.#beginning?.commands ?? []) this.dead(command, "notPerformed");
    this.#beginning = undefined;
    this.#bury("stopped");
    this.#host.gone(this);
    this.#host.settled();
  }

  hasWork(): boolean {
    if (this.#phase === "stopped" || this.#phase === "down") return false;
    if (this.#beginning !== undefined) return true;
    if (this.#phase === "final" || this.#outbox.size >= this.#host.limits.savesUnderWayMax) return false;
    return this.queued > 0 || this.#timers?.nextDue() !== undefined;
  }

  work(max: number, untilMs: number): number {
    let done = 0;
    while (done < max && this.hasWork()) {
      done++;
      if (this.#beginning === undefined) this.#handleNext();
      else this.#begin(this.#beginning);
      if (this.#host.clock.monotonicMs() >= untilMs) break;
    }
    return done;
  }

  unblocked(): void {
    if (this.hasWork()) this.#host.wake(this);
  }

  dead(event: EventObject, why: DeadLetterReason): void {
    this.#host.deadLetters.add(this.kind, this.id, String(event?.type), why);
  }

  #begin({ commands }: Effects): void {
    this.#beginning = undefined;
    this.#outbox.commit(commands, undefined);
  }

  #handleNext(): void {
    const delayed = this.#timers?.nextDue();
    if (delayed !== undefined) {
      this.#handle(delayed.event, delayed);
      return;
    }
    const event = this.#mailbox?.take();
    assert(event !== undefined, "an actor that has work has a due timer or an event");
    this.#host.counters.queued--;
    this.#handle(event, undefined);
  }

  #handle(event: EventObject, delayed: DelayedEvent | undefined): void {
    const before = this.#snapshot;
    let effects: Effects;
    try {
      effects = this.#host.runner.handle(this.#root, event);
      this.#checkTimers(effects.timers);
      assert(!this.stopped, "the code of a machine does not stop its actor; emit a command instead");
    } catch (error) {
      if (delayed === undefined) this.dead(event, "failed");
      if (!this.stopped) this.#fail(error, event.type);
      return;
    }
    this.#host.counters.handled++;
    this.#snapshot = this.#root.getSnapshot();
    if (delayed !== undefined) this.#timers?.handled(delayed);
    this.#change(effects.timers);
    if (this.#snapshot.status === "done") this.#finish();
    if (this.#host.inspection.active) this.#host.inspection.saw(this, event.type, before, this.#snapshot);
    this.#tellTransition(event);
    const changed = this.#snapshot !== before || delayed !== undefined || effects !== noEffects;
    if (changed) this.#outbox.commit(effects.commands, event);
  }

  #finish(): void {
    this.#phase = "final";
    this.#timers?.cancelAll();
    this.#bury("final");
  }

  #fail(error: unknown, eventType: string): void {
    this.#budget ??= new RestartBudget(this.#spec.supervision);
    const waitMs = this.#budget.take(this.#host.clock.monotonicMs());
    const facts = { kind: this.kind, id: this.id, event: eventType, error: messageOf(error) };
    this.#phase = "down";
    this.#root.stop();
    if (waitMs === undefined) {
      this.#host.counters.givenUp++;
      this.#host.log.error(facts, "an actor failed too often and is given up");
      this.stop();
      this.#guard("the owner of an actor that was given up", () => this.#spec.supervision?.onGiveUp?.(error));
      return;
    }
    this.#host.log.error({ ...facts, waitMs }, "an actor failed and starts again");
    this.#restart = this.#host.clock.setTimer(waitMs, () => this.#startAgain());
  }

  #startAgain(): void {
    const before = this.#snapshot;
    try {
      const from = this.#spec.supervision?.restoreFrom?.();
      if (from !== undefined) this.#snapshot = snapshotOf(this.#spec.machine, from);
      this.#root = this.#host.runner.resume(this.#spec.machine, this.#snapshot);
      if (from !== undefined) this.#arm(from.timers);
    } catch (error) {
      this.#snapshot = before;
      this.#fail(error, "(restart)");
      return;
    }
    this.#host.counters.restarts++;
    this.#phase = "running";
    if (this.#snapshot !== before) this.#startedElsewhere();
    this.unblocked();
  }

  /** The owner gave another state than the one in which the actor failed. */
  #startedElsewhere(): void {
    if (this.#snapshot.status === "done") this.#finish();
    this.#tellTransition();
    this.#outbox.commit([], undefined);
  }

  #tellTransition(event?: EventObject): void {
    if (this.#spec.onTransition === undefined) return;
    this.#guard("a view of an actor", () => this.#spec.onTransition?.(this.#snapshot, this, event));
  }

  #guard(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#host.log.error({ kind: this.kind, id: this.id, error: messageOf(error) }, `${what} threw`);
    }
  }

  /** Arms what a restored state had armed; where that is not known, its delayed transitions begin anew. */
  #arm(restored: RestoredState["timers"]): void {
    const anew = restored === undefined ? delayedTransitionsOf(this.#snapshot) : [];
    this.#timers?.cancelAll();
    this.#change(anew);
    if (restored !== undefined && restored.length > 0) this.#armed().restore(restored);
  }

  #change(changes: readonly TimerChange[]): void {
    for (const change of changes) {
      if (change.event === undefined) this.#timers?.cancel(change.id);
      else this.#armed().arm(change.id, change.event, change.delayMs);
    }
  }

  #checkTimers(changes: readonly TimerChange[]): void {
    const max = this.#host.limits.timersPerActorMax;
    const armed = (this.#timers?.size ?? 0) + changes.length;
    if (changes.length > 0 && armed > max)
      throw new Error(`an actor has at most ${max} delayed events armed`);
  }

  #armed(): ArmedTimers {
    this.#timers ??= new ArmedTimers(this.#host.clock, () => this.unblocked());
    return this.#timers;
  }

  #refusalOf(event: EventObject): DeadLetterReason | undefined {
    if (this.#phase === "stopped" || this.#phase === "final") return this.#phase;
    return isMachineEvent(event) ? undefined : "notAnEvent";
  }

  #bury(why: DeadLetterReason): void {
    for (let event = this.#mailbox?.take(); event !== undefined; event = this.#mailbox?.take()) {
      this.#host.counters.queued--;
      this.dead(event, why);
    }
  }
}

/** Events may come from messages: a wrong one must not reach the machine, where XState's own types would stop or derail it. */
function isMachineEvent(event: unknown): boolean {
  if (typeof event !== "object" || event === null || !("type" in event)) return false;
  const { type } = event;
  return typeof type === "string" && type !== "" && type !== "*" && !type.startsWith("xstate.");
}
