import type { AnyMachineSnapshot, AnyStateMachine, EventObject } from "xstate";
import { assert } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import type { Clock, Log, Timer } from "../base/ports.js";
import type { Actor, ActorSpec, ArmedTimer, DeadLetterReason, RestoredState } from "./actor.js";
import { ArmedTimers, type DelayedEvent } from "./armed-timers.js";
import type { DeadLetters } from "./dead-letters.js";
import type { Inspected, Inspection } from "./inspection.js";
import type { HostLimits } from "./limits.js";
import {
  delayedTransitionsOf,
  type Effects,
  type MachineRoot,
  type MachineRunner,
  noEffects,
  snapshotOf,
  type TimerChange,
} from "./machine-runner.js";
import { RestartBudget } from "./restart-budget.js";
import { RingQueue } from "./ring-queue.js";
import { SaveQueue } from "./save-queue.js";
import type { Worker } from "./turns.js";

const defaultMailbox = { max: 1_000, overflow: "refuse" } as const;

/** What a host shares among its actors. */
export interface HostServices {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: HostLimits;
  readonly runner: MachineRunner;
  readonly deadLetters: DeadLetters;
  readonly inspection: Inspection;
  readonly counters: {
    queued: number;
    handled: number;
    savesUnderWay: number;
    restarts: number;
    givenUp: number;
    failedCommands: number;
  };
  /** The actor has something to do. */
  wake(actor: HostedActor): void;
  /** Something that {@link ActorHost.idle} waits for may have ended. */
  settled(): void;
  /** The actor is stopped. */
  gone(actor: HostedActor): void;
}

/**
 * `running` handles events; `down` waits for its restart; `final` is at the end of its machine; `stopped` is
 * gone from the host.
 */
type Phase = "running" | "down" | "final" | "stopped";

/** One actor of a host. What is rare (timers, saves, a mailbox that was used, failures) is made when needed: there may be 100,000. */
export class HostedActor implements Actor, Worker, Inspected {
  readonly kind: string;
  readonly id: string;
  inQueue = false;
  readonly #host: HostServices;
  readonly #spec: ActorSpec<AnyStateMachine>;
  #phase: Phase = "running";
  #root: MachineRoot;
  #snapshot: AnyMachineSnapshot;
  /** What came of the start, until the first turn. */
  #beginning: Effects | undefined;
  #mailbox: RingQueue<EventObject> | undefined;
  #timers: ArmedTimers | undefined;
  #saves: SaveQueue<EventObject> | undefined;
  #lastRecord: string | undefined;
  #budget: RestartBudget | undefined;
  #restart: Timer | undefined;

  constructor(spec: ActorSpec<AnyStateMachine>, host: HostServices) {
    this.kind = spec.kind;
    this.id = spec.id;
    this.#host = host;
    this.#spec = spec;
    if (spec.restored === undefined) {
      const { root, effects } = host.runner.begin(spec.machine, spec.input);
      this.#root = root;
      this.#snapshot = root.getSnapshot();
      this.#beginning = effects;
      this.#change(effects.timers);
    } else {
      this.#snapshot = snapshotOf(spec.machine, spec.restored);
      this.#root = host.runner.resume(spec.machine, this.#snapshot);
      if (spec.durable !== undefined)
        this.#lastRecord = this.#recordText(
          spec.durable.recordOf(this.#snapshot, spec.restored.timers ?? []),
        );
      this.#arm(spec.restored.timers);
    }
    if (this.#snapshot.status === "done") this.#finish();
  }

  get saved(): boolean {
    if (this.#spec.durable === undefined) return true;
    return (
      this.#beginning === undefined &&
      this.#saves?.failed !== true &&
      (this.#saves === undefined || this.#saves.size === 0)
    );
  }

  snapshot(): AnyMachineSnapshot {
    return this.#snapshot;
  }

  timers(): readonly ArmedTimer[] {
    return this.#timers === undefined ? [] : this.#timers.list();
  }

  /** What anybody may see of a state's context. */
  viewOf(snapshot: AnyMachineSnapshot): Readonly<Record<string, unknown>> | undefined {
    return this.#spec.publicView?.(snapshot);
  }

  send(event: EventObject): boolean {
    const why = this.#refusal(event);
    if (why !== undefined) {
      this.#dead(event, why);
      return false;
    }
    const { max, overflow } = this.#spec.mailbox ?? defaultMailbox;
    this.#mailbox ??= new RingQueue();
    if (this.#mailbox.size >= max) {
      const dropped = overflow === "refuse" ? event : this.#mailbox.shift();
      this.#dead(dropped ?? event, "mailboxFull");
      if (dropped === event || dropped === undefined) return false;
      this.#host.counters.queued--;
    }
    this.#mailbox.push(event);
    this.#host.counters.queued++;
    if (!this.inQueue) this.#wake();
    return true;
  }

  stop(): void {
    if (this.#phase === "stopped") return;
    this.#phase = "stopped";
    this.#restart?.cancel();
    this.#timers?.cancelAll();
    this.#root.stop();
    for (const command of this.#beginning?.commands ?? []) this.#dead(command, "notPerformed");
    this.#beginning = undefined;
    this.#bury("stopped");
    this.#host.gone(this);
    this.#host.settled();
  }

  hasWork(): boolean {
    if (this.#phase === "stopped" || this.#phase === "down") return false;
    if (this.#beginning !== undefined) return true;
    if (this.#phase === "final" || (this.#saves?.size ?? 0) >= this.#host.limits.savesUnderWayMax)
      return false;
    return (this.#mailbox?.size ?? 0) > 0 || this.#timers?.nextDue() !== undefined;
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

  #begin(effects: Effects): void {
    this.#beginning = undefined;
    this.#commit(effects);
  }

  #handleNext(): void {
    const delayed = this.#timers?.nextDue();
    if (delayed !== undefined) {
      this.#handle(delayed.event, delayed);
      return;
    }
    const event = this.#mailbox?.shift();
    assert(event !== undefined, "an actor that has work has a due timer or an event");
    this.#host.counters.queued--;
    this.#handle(event, undefined);
  }

  #handle(event: EventObject, delayed: DelayedEvent | undefined): void {
    const before = this.#snapshot;
    let effects: Effects;
    try {
      effects = this.#host.runner.handle(this.#root, event);
    } catch (error) {
      if (delayed === undefined) this.#dead(event, "failed");
      this.#fail(error, event.type);
      return;
    }
    this.#host.counters.handled++;
    this.#snapshot = this.#root.getSnapshot();
    if (delayed !== undefined) this.#timers?.handled(delayed);
    this.#change(effects.timers);
    if (this.#snapshot.status === "done") this.#finish();
    if (this.#host.inspection.active) this.#host.inspection.saw(this, event.type, before, this.#snapshot);
    this.#tellTransition();
    if (delayed !== undefined || effects !== noEffects || this.#snapshot !== before) this.#commit(effects);
  }

  /** Makes what happened durable, if it is to be, and does what the machine asked for. */
  #commit({ commands }: Effects): void {
    if (this.#phase === "stopped") {
      for (const command of commands) this.#dead(command, "notPerformed");
      return;
    }
    const durable = this.#spec.durable;
    if (durable === undefined) {
      this.#perform(commands);
      return;
    }
    let record: unknown;
    let text: string;
    try {
      record = durable.recordOf(this.#snapshot, this.timers());
      text = this.#recordText(record);
    } catch (error) {
      this.#saveFailed(error, commands);
      return;
    }
    if (text === this.#lastRecord && commands.length === 0) return;
    this.#lastRecord = text;
    this.#save(commands, () => durable.save(record, commands));
  }

  #recordText(record: unknown): string {
    const text = JSON.stringify(record);
    assert(typeof text === "string", "a record is plain JSON");
    return text;
  }

  #save(commands: readonly EventObject[], begin: () => Promise<void>): void {
    this.#saves ??= new SaveQueue({
      saved: (confirmed) => this.#perform(confirmed),
      failed: (error, lost) => this.#saveFailed(error, lost),
      settled: () => {
        this.#host.counters.savesUnderWay--;
        if (this.hasWork()) this.#wake();
        this.#host.settled();
      },
    });
    this.#host.counters.savesUnderWay++;
    this.#saves.add(commands, begin);
  }

  #saveFailed(error: unknown, lost: readonly EventObject[]): void {
    for (const command of lost) this.#dead(command, "notPerformed");
    const stoppedBefore = this.#phase === "stopped";
    this.#host.log.error(
      { ...this.#name(), error: messageOf(error) },
      "an actor's state could not be saved; the actor is stopped",
    );
    this.stop();
    if (!stoppedBefore)
      this.#guard("the owner of an actor whose save failed", () => this.#spec.durable?.onSaveFailed(error));
  }

  #perform(commands: readonly EventObject[]): void {
    for (const command of commands) {
      if (this.#phase === "stopped") this.#dead(command, "notPerformed");
      else this.#performOne(command);
    }
  }

  #performOne(command: EventObject): void {
    try {
      // An owner may pass an async function where nothing is promised; what it rejects with must not end the process.
      const outcome: unknown = this.#spec.perform(command, this);
      if (outcome instanceof Promise) outcome.catch((error: unknown) => this.#commandFailed(command, error));
    } catch (error) {
      this.#commandFailed(command, error);
    }
  }

  #commandFailed(command: EventObject, error: unknown): void {
    this.#host.counters.failedCommands++;
    this.#host.log.error(
      { ...this.#name(), command: command.type, error: messageOf(error) },
      "a command failed without telling its actor",
    );
  }

  #tellTransition(): void {
    if (this.#spec.onTransition === undefined) return;
    this.#guard("a view of an actor", () => this.#spec.onTransition?.(this.#snapshot, this));
  }

  #guard(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#host.log.error({ ...this.#name(), error: messageOf(error) }, `${what} threw`);
    }
  }

  #finish(): void {
    this.#phase = "final";
    this.#timers?.cancelAll();
    this.#bury("final");
  }

  #fail(error: unknown, eventType: string): void {
    this.#budget ??= new RestartBudget(this.#spec.supervision);
    const waitMs = this.#budget.take(this.#host.clock.monotonicMs());
    const facts = { ...this.#name(), event: eventType, error: messageOf(error) };
    this.#phase = "down";
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
    this.#restart = undefined;
    const before = this.#snapshot;
    try {
      const from = this.#spec.supervision?.restoreFrom?.();
      if (from !== undefined) this.#snapshot = snapshotOf(this.#spec.machine, from);
      this.#root = this.#host.runner.resume(this.#spec.machine, this.#snapshot);
      if (from !== undefined) this.#arm(from.timers);
    } catch (error) {
      this.#snapshot = before;
      this.#fail(error, "restart");
      return;
    }
    this.#host.counters.restarts++;
    this.#phase = "running";
    if (this.#snapshot !== before) this.#startedElsewhere();
    if (this.hasWork()) this.#wake();
  }

  #startedElsewhere(): void {
    if (this.#snapshot.status === "done") this.#finish();
    this.#tellTransition();
    this.#commit(noEffects);
  }

  /** Arms what a restored state had armed; where that is not known, its delayed transitions begin anew. */
  #arm(restored: RestoredState["timers"]): void {
    this.#timers?.cancelAll();
    if (restored === undefined) this.#change(delayedTransitionsOf(this.#snapshot));
    else if (restored.length > 0) this.#armed().restore(restored);
  }

  #change(changes: readonly TimerChange[]): void {
    for (const change of changes) {
      if (change.event === undefined) this.#timers?.cancel(change.id);
      else this.#armed().arm(change.id, change.event, change.delayMs);
    }
  }

  #armed(): ArmedTimers {
    this.#timers ??= new ArmedTimers(this.#host.clock, () => this.#wake());
    return this.#timers;
  }

  #wake(): void {
    if (this.hasWork()) this.#host.wake(this);
  }

  #refusal(event: EventObject): DeadLetterReason | undefined {
    if (this.#phase === "stopped" || this.#phase === "final") return this.#phase;
    return isMachineEvent(event) ? undefined : "notAnEvent";
  }

  #bury(why: DeadLetterReason): void {
    for (let event = this.#mailbox?.shift(); event !== undefined; event = this.#mailbox?.shift()) {
      this.#host.counters.queued--;
      this.#dead(event, why);
    }
  }

  #dead(event: EventObject, why: DeadLetterReason): void {
    this.#host.deadLetters.add(this.kind, this.id, String(event?.type), why);
  }

  #name(): { kind: string; id: string } {
    return { kind: this.kind, id: this.id };
  }
}

/** Events come from messages: a wrong one must not reach the machine, where XState's own types would stop or derail it. */
function isMachineEvent(event: unknown): boolean {
  if (typeof event !== "object" || event === null || !("type" in event)) return false;
  const { type } = event;
  return typeof type === "string" && type !== "" && type !== "*" && !type.startsWith("xstate.");
}
