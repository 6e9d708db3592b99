import type { AnyMachineSnapshot, AnyStateMachine, EventObject } from "xstate";
import { assert } from "../base/assert.js";
import { messageOf } from "../base/errors.js";
import type { Log } from "../base/ports.js";
import type { Actor, ActorSpec, ArmedTimer, DeadLetterReason } from "./actor.js";
import { SaveQueue } from "./save-queue.js";

/** What an actor goes by once it runs: what it began with is not kept. */
export type RunningSpec = Omit<ActorSpec<AnyStateMachine>, "input" | "restored">;

/** What an outbox needs of its actor and host. */
export interface OutboxOwner extends Actor {
  readonly stopped: boolean;
  timers(): readonly ArmedTimer[];
  dead(event: EventObject, why: DeadLetterReason): void;
  /** A save has ended: the actor may go on. */
  unblocked(): void;
}

export interface OutboxHost {
  readonly log: Log;
  readonly counters: { savesUnderWay: number; failedCommands: number };
  settled(): void;
}

/**
 * What leaves an actor: its record, then its commands. The commands of a transition are performed when
 * its record is saved, at once if the actor is not durable, and never out of order.
 */
export class Outbox {
  readonly #spec: RunningSpec;
  readonly #owner: OutboxOwner;
  readonly #host: OutboxHost;
  #saves: SaveQueue<EventObject> | undefined;
  /** The newest record that was given to `save`. Its text is not kept: most records never change again, and there may be 100,000. */
  #lastRecord: unknown;

  constructor(spec: RunningSpec, owner: OutboxOwner, host: OutboxHost) {
    this.#spec = spec;
    this.#owner = owner;
    this.#host = host;
  }

  /** Saves under way. */
  get size(): number {
    return this.#saves?.size ?? 0;
  }

  get saved(): boolean {
    return this.#saves === undefined || (this.#saves.size === 0 && !this.#saves.failed);
  }

  /** Takes a state as saved: the one that the actor was restored from. */
  assumeSaved(snapshot: AnyMachineSnapshot, timers: readonly ArmedTimer[]): void {
    if (this.#spec.durable === undefined) return;
    this.#lastRecord = this.#spec.durable.recordOf(snapshot, timers);
  }

  /** Makes the actor's state durable, if it is to be, and does what its machine asked for. */
  commit(commands: readonly EventObject[], event: EventObject | undefined): void {
    const durable = this.#spec.durable;
    if (durable === undefined || this.#owner.stopped) {
      this.#perform(commands);
      return;
    }
    let record: unknown;
    let isNews: boolean;
    try {
      record = durable.recordOf(this.#owner.snapshot(), this.#owner.timers());
      isNews = hasToBeSaved(record, this.#lastRecord, commands.length > 0);
    } catch (error) {
      this.#saveFailed(error, commands);
      return;
    }
    this.#lastRecord = record;
    if (!isNews) return;
    this.#save(commands, () => durable.save(record, commands, event));
  }

  #save(commands: readonly EventObject[], begin: () => Promise<void>): void {
    this.#saves ??= new SaveQueue({
      saved: (confirmed) => this.#perform(confirmed),
      failed: (error, lost) => this.#saveFailed(error, lost),
      settled: () => {
        this.#host.counters.savesUnderWay--;
        // Most actors save nothing most of the time, and there may be 100,000.
        if (this.saved) this.#saves = undefined;
        this.#owner.unblocked();
        this.#host.settled();
      },
    });
    this.#host.counters.savesUnderWay++;
    this.#saves.add(commands, begin);
  }

  #saveFailed(error: unknown, lost: readonly EventObject[]): void {
    for (const command of lost) this.#owner.dead(command, "notPerformed");
    this.#host.log.error(
      { ...this.#name(), error: messageOf(error) },
      "an actor's state could not be saved; the actor is stopped",
    );
    if (this.#owner.stopped) return;
    this.#owner.stop();
    try {
      this.#spec.durable?.onSaveFailed(error);
    } catch (thrown) {
      this.#host.log.error(
        { ...this.#name(), error: messageOf(thrown) },
        "the owner of an actor whose save failed threw",
      );
    }
  }

  #perform(commands: readonly EventObject[]): void {
    for (const command of commands) {
      if (this.#owner.stopped) this.#owner.dead(command, "notPerformed");
      else this.#performOne(command);
    }
  }

  #performOne(command: EventObject): void {
    try {
      // An owner may pass an async function where nothing is promised; what it rejects with must not end the process.
      const outcome: unknown = this.#spec.perform(command, this.#owner);
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

  #name(): { kind: string; id: string } {
    return { kind: this.#owner.kind, id: this.#owner.id };
  }
}

/** With commands a record is saved in any case; the same object again, which is never changed, needs no look at its text. */
function hasToBeSaved(record: unknown, last: unknown, hasCommands: boolean): boolean {
  if (last !== undefined && (hasCommands || record === last)) return hasCommands;
  const text = textOf(record);
  return last === undefined || text !== textOf(last);
}

function textOf(record: unknown): string {
  const text = JSON.stringify(record);
  assert(typeof text === "string", "a record is plain JSON");
  return text;
}
