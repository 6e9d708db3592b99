import type { SnapshotFrom } from "xstate";
import {
  type MemberCommand,
  type MemberContext,
  type MemberEvent,
  memberFromRecord,
  memberMachine,
} from "../../machines/member.js";
import { messageOf } from "../base/errors.js";
import type { InstanceRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import type { DesiredInstance, Reason } from "../contracts/instance.js";
import { keys } from "../contracts/keys.js";
import type { Origin } from "../contracts/origin.js";
import type { Actor } from "../runtime/actor.js";
import type { Standing } from "./claim-index.js";
import { explained } from "./explained.js";
import type { Term } from "./term.js";
import type { Unit } from "./writer.js";

export type MemberActor = Actor<typeof memberMachine>;
export type MemberSnapshot = SnapshotFrom<typeof memberMachine>;
/** What views are made from, of an actor or of a copy. */
export type MemberState = Pick<MemberSnapshot, "value" | "context">;

interface Waiter {
  readonly holds: (snapshot: MemberSnapshot) => boolean;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** What changes of a member are told to whoever keeps a view of all of them. */
export interface MemberListener {
  /** After each event that a member handled. */
  onMember(instance: string, snapshot: MemberSnapshot): void;
}

/** The instances of the fleet, an actor each, and what of them goes into the ledger. */
export class Members {
  readonly #term: Term;
  readonly #listener: MemberListener;
  readonly #actors = new Map<string, MemberActor>();
  /** Who waits for a member's state; a few at a time. */
  readonly #waiters = new Map<string, Waiter[]>();
  /** The save under way of each member that has one, the newest. */
  readonly #saving = new Map<string, Promise<void>>();
  readonly #supervision = { onGiveUp: (error: unknown) => this.#term.fail(error) };
  #ended: { readonly reason: unknown } | undefined;

  constructor(term: Term, listener: MemberListener) {
    this.#term = term;
    this.#listener = listener;
  }

  get size(): number {
    return this.#actors.size;
  }

  find(instance: string): MemberActor | undefined {
    return this.#actors.get(instance);
  }

  all(): ReadonlyMap<string, MemberActor> {
    return this.#actors;
  }

  *records(): Iterable<InstanceRecord> {
    for (const actor of this.#actors.values()) yield actor.snapshot().context.record;
  }

  /** Takes a member over as the ledger knows it. */
  restore(record: InstanceRecord): MemberActor {
    return this.#spawn(record, memberFromRecord(record));
  }

  /** An instance that was never seen: its first report is its registration. */
  join(record: InstanceRecord, origin: Origin): MemberActor {
    return this.#spawn(record, undefined, origin);
  }

  /** Takes an instance out of the fleet and out of the ledger, its desired state included. */
  remove(instance: string, why: string, origin: Origin): Promise<void> {
    const { index, writer } = this.#term;
    this.#actors.get(instance)?.stop();
    this.#actors.delete(instance);
    index.remove(instance);
    this.#refuseWaiters(instance, refusal("UNKNOWN_INSTANCE", { instance }));
    return writer.add({
      deletes: [keys.instance(instance), keys.desiredInstance(instance)],
      events: [{ kind: "instance", id: instance, type: "instance.left", data: { why }, ...origin }],
    });
  }

  /**
   * Sends what must not get lost. An instance that cannot take it ends the term, and everything is read anew; one that has
   * left does not need it.
   */
  command(instance: string, event: MemberEvent): void {
    const actor = this.#actors.get(instance);
    if (actor === undefined || actor.send(event)) return;
    this.#term.fail(
      refusal("INTERNAL", { problem: `the actor of instance ${instance} did not take '${event.type}'` }),
    );
  }

  /**
   * Sends an event and resolves when the state holds and the ledger has it.
   * @throws RollcallError `UNKNOWN_INSTANCE`; what ended the term, if it ends first
   */
  async ask(
    instance: string,
    event: MemberEvent,
    holds: (snapshot: MemberSnapshot) => boolean,
  ): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended.reason;
    const actor = this.#actors.get(instance);
    if (actor === undefined) throw refusal("UNKNOWN_INSTANCE", { instance });
    const reached = new Promise<void>((done, failed) => {
      this.#waiters.set(instance, [...(this.#waiters.get(instance) ?? []), { holds, done, failed }]);
    });
    this.command(instance, event);
    await reached;
    await this.saved(instance);
  }

  /** Resolves when the ledger has an instance as it is now; may be asked in the middle of its transition. @throws what ends the term */
  async saved(instance: string): Promise<void> {
    // A transition is given to the writer right after its listeners were told.
    await undefined;
    await this.#saving.get(instance);
  }

  stop(reason: unknown): void {
    this.#ended ??= { reason };
    for (const instance of [...this.#waiters.keys()]) this.#refuseWaiters(instance, reason);
    for (const actor of this.#actors.values()) actor.stop();
  }

  #refuseWaiters(instance: string, reason: unknown): void {
    const waiters = this.#waiters.get(instance) ?? [];
    this.#waiters.delete(instance);
    for (const { failed } of waiters) failed(reason);
  }

  #tellWaiters(instance: string, snapshot: MemberSnapshot): void {
    const waiters = this.#waiters.get(instance);
    if (waiters === undefined) return;
    const left = waiters.filter(({ holds }) => !holds(snapshot));
    if (left.length === 0) this.#waiters.delete(instance);
    else this.#waiters.set(instance, left);
    for (const waiter of waiters) if (!left.includes(waiter)) waiter.done();
  }

  #spawn(
    record: InstanceRecord,
    restored: ReturnType<typeof memberFromRecord> | undefined,
    joinedBy: Origin = this.#term.ownOrigin,
  ): MemberActor {
    const { id } = record;
    let owner = record.claim?.deployment;
    const actor = this.#term.host.spawn({
      kind: "member",
      id,
      machine: memberMachine,
      ...(restored === undefined ? { input: { record } } : { restored, input: { record } }),
      perform: performNothing,
      durable: {
        recordOf,
        save: (saved, commands, event) => {
          const current = (saved as InstanceRecord).claim?.deployment;
          const owners = new Set([owner, current]);
          owner = current;
          const written = this.#save(
            this.#unitOf(saved as InstanceRecord, commands, event, joinedBy),
            owners,
          );
          this.#saving.set(id, written);
          const forget = () => {
            if (this.#saving.get(id) === written) this.#saving.delete(id);
          };
          written.then(forget, forget);
          return written;
        },
        onSaveFailed: (error) => {
          this.#logLost(id, error);
          this.#term.fail(error);
        },
      },
      supervision: this.#supervision,
      publicView,
      onTransition: (snapshot, _self, event) => {
        this.#term.index.update(id, standingOf(snapshot.context), event?.origin?.cause);
        this.#listener.onMember(id, snapshot);
        this.#tellWaiters(id, snapshot);
      },
    });
    this.#actors.set(id, actor);
    this.#term.index.update(id, standingOf(actor.snapshot().context));
    return actor;
  }

  async #save(unit: Unit, owners: ReadonlySet<string | undefined>): Promise<void> {
    const written = [...owners]
      .filter((owner) => owner !== undefined)
      .map((owner) => this.#term.index.writing(owner));
    await this.#term.writer.add(unit);
    for (const done of written) done();
  }

  /** @param event what led to it; `undefined` for the beginning of a new member */
  #unitOf(
    record: InstanceRecord,
    commands: readonly MemberCommand[],
    event: MemberEvent | undefined,
    joinedBy: Origin,
  ): Unit {
    const { id, generation, agent, labels } = record;
    const origin = event === undefined ? joinedBy : (event.origin ?? this.#term.ownOrigin);
    const notes = commands.filter((command) => command.type === "note");
    this.#term.counters.stuckPhases += notes.filter(isStuckPhase).length;
    const joined = { what: "joined", data: { agent, labels } } as const;
    const happened = event === undefined ? [joined, ...notes] : notes;
    const desires = commands.filter((command) => command.type === "desire");
    return {
      puts: [
        { key: keys.instance(id), value: record },
        ...desires.map((desire) => ({
          key: keys.desiredInstance(id),
          value: this.#desired(record, desire),
          formatMax: this.#desiredFormatOf(id),
        })),
      ],
      events: explained({ kind: "instance", id, generation }, happened, () => origin),
      instances: 1,
    };
  }

  /** What its agent reads: the first format, which all read, as long as it has not said more. */
  #desiredFormatOf(instance: string): number {
    const { seen } = this.#actors.get(instance)?.snapshot().context ?? {};
    return seen?.state.desiredFormat ?? this.#term.formats.known["desired.instance"].oldest;
  }

  #desired(record: InstanceRecord, command: Extract<MemberCommand, { type: "desire" }>): DesiredInstance {
    const { catalog, leadership, ledgerId } = this.#term;
    const { agent, generation, deployment, target, minHealthyMs, deadlineMs } = command;
    return {
      format: 1,
      ledgerId,
      instance: record.id,
      agent,
      generation,
      epoch: leadership.epoch,
      deployment,
      run: catalog.runOf(target),
      stable: record.stable?.release ?? null,
      minHealthyMs,
      deadlineMs: Math.max(1, deadlineMs),
    };
  }

  /** The whole term ends with a write that failed; this says which instance's it was. */
  #logLost(instance: string, error: unknown): void {
    this.#term.log.debug({ instance, error: messageOf(error) }, "a change of an instance was not written");
  }
}

// One of each for all members: there may be 100,000.

function performNothing(): void {
  // Everything that a member asks for is part of its save.
}

function recordOf({ context }: MemberSnapshot): InstanceRecord {
  return context.record;
}

function publicView({ context: { record, seen, silent } }: MemberSnapshot) {
  return { record, seen, silent };
}

/** What a deployment's planner has to know of a member; `undefined` while nothing owns it. */
export function standingOf({ record, silent, seen }: MemberContext): Standing | undefined {
  return record.claim === null ? undefined : { claim: record.claim, silent, heard: seen !== null };
}

function isStuckPhase({ what, data }: Extract<MemberCommand, { type: "note" }>): boolean {
  return what === "failed" && (data.reason as Reason | undefined)?.code === "PHASE_STUCK";
}
