import { deploymentMachine } from "../../machines/deployment.js";
import {
  type DeploymentCommand,
  type DeploymentEvent,
  deploymentFromRecord,
} from "../../machines/deployment-record.js";
import { newRollback } from "../../machines/deployment-request.js";
import {
  type Overlap,
  overlapsOf,
  type Surroundings,
  surroundingsOf,
  type Target,
  targetsOf,
} from "../../machines/deployment-targets.js";
import type { Silence } from "../../machines/liveness.js";
import { wasTouched } from "../../machines/member-record.js";
import { messageOf } from "../base/errors.js";
import type { DeploymentRecord, InstanceRecord } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import type { Happening } from "../contracts/event-types.js";
import { keys } from "../contracts/keys.js";
import { byRule, type Origin } from "../contracts/origin.js";
import { defaultDeadlineMs } from "../contracts/release.js";
import { noteIn, originOf, rollbackEvent, rolloutRule } from "./deployment-events.js";
import { explained } from "./explained.js";
import { History, standingIn, undoneIn } from "./history.js";
import { Instructions } from "./instructions.js";
import { Looks } from "./looks.js";
import type { Members } from "./members.js";
import { type DeploymentActor, type DeploymentSnapshot, RollOut } from "./roll-out.js";
import type { Term } from "./term.js";

export interface RollOutParts {
  readonly silence: () => Silence;
  /** Ledger time from which this leader judges; later again whenever it could not hear for a while. */
  readonly judgeFromMs: () => number;
  readonly onAlert: (code: string, message: string) => void;
  readonly onFinished: (record: DeploymentRecord) => void;
}

/** The deployments of the fleet: an actor each while they are not over, and the hands of these actors. */
export class RollOuts {
  readonly looks: Looks;
  readonly #term: Term;
  readonly #members: Members;
  readonly #parts: RollOutParts;
  readonly #instructions: Instructions;
  readonly #active = new Map<string, RollOut>();
  readonly #history = new History();
  #lastNumber = 0;
  /** Until a deployment begins, ends or is about to. */
  #standing: readonly DeploymentRecord[] | undefined;
  #ended: { readonly reason: unknown } | undefined;

  constructor(term: Term, members: Members, parts: RollOutParts) {
    this.#term = term;
    this.#members = members;
    this.#parts = parts;
    this.looks = new Looks(term, { ...parts, actor: (id) => this.#active.get(id)?.actor });
    this.#instructions = new Instructions(term, members, (record) => this.targetsOf(record));
  }

  /** Every deployment that is known, in no order. */
  *records(): Iterable<DeploymentRecord> {
    yield* this.active();
    yield* this.#history.records();
  }

  record(id: string): DeploymentRecord | undefined {
    return this.#active.get(id)?.actor.snapshot().context.record ?? this.#history.find(id);
  }

  /** How long a deployment gives each instance. */
  deadlineMsOf(id: string | undefined): number {
    return (id === undefined ? undefined : this.record(id)?.spec.deadlineMs) ?? defaultDeadlineMs;
  }

  /** For what an instance is told outside of a roll-out: as long as the last one gave it. */
  deadlineMsFor({ claim, owed, last }: InstanceRecord): number {
    return this.deadlineMsOf(claim?.deployment ?? owed?.deployment ?? last?.deployment);
  }

  /** Its machine's state; a finished one's is made from its record. */
  snapshot(id: string): DeploymentSnapshot | undefined {
    const running = this.#active.get(id)?.actor.snapshot();
    const record = running === undefined ? this.#history.find(id) : undefined;
    return record === undefined
      ? running
      : deploymentMachine.resolveState(deploymentFromRecord(record, this.#term.nowMs(), 0));
  }

  /** The ledger has its record as it is here. */
  isWritten(id: string): boolean {
    return this.#active.get(id)?.actor.saved ?? true;
  }

  /** `d1`, `d2` and so on: short enough to be said and typed. Records are removed from the oldest on, so no id comes twice. */
  newId(): string {
    this.#lastNumber++;
    return `d${this.#lastNumber}`;
  }

  /** Those that are not over. */
  *active(): Iterable<DeploymentRecord> {
    for (const { actor } of this.#active.values()) yield actor.snapshot().context.record;
  }

  /** Takes a deployment over as the ledger knows it. */
  restore(record: DeploymentRecord): void {
    this.#lastNumber = Math.max(this.#lastNumber, Number(/^d(\d{1,15})$/.exec(record.id)?.[1] ?? 0));
    if (record.stage === "finished") this.#keepFinished(record);
    else {
      const restored = deploymentFromRecord(record, this.#term.nowMs(), this.#parts.judgeFromMs());
      const { ownOrigin } = this.#term;
      this.#spawn(record, restored, ownOrigin).send({ type: "takenOver", origin: ownOrigin });
    }
  }

  /** Begins a new deployment; resolves when it owns its instances and the ledger has all of it. */
  async create(record: DeploymentRecord, origin: Origin): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended.reason;
    this.#spawn(record, undefined, origin);
    await this.ask(record.id, undefined, (snapshot) => snapshot.value !== "preparing");
  }

  /**
   * Sends an event and resolves when the state holds and is durable.
   * @throws RollcallError `UNKNOWN_DEPLOYMENT`; what ended the term, if it ends first
   */
  async ask(
    id: string,
    event: DeploymentEvent | undefined,
    holds: (snapshot: DeploymentSnapshot) => boolean,
  ): Promise<DeploymentSnapshot> {
    if (this.#ended !== undefined) throw this.#ended.reason;
    const rollOut = this.#active.get(id);
    if (rollOut === undefined) throw refusal("UNKNOWN_DEPLOYMENT", { deployment: id });
    const reached = new Promise<DeploymentSnapshot>((done, failed) => {
      if (event === undefined && holds(rollOut.actor.snapshot())) done(rollOut.actor.snapshot());
      else rollOut.waiters.add({ holds, done, failed });
    });
    if (event !== undefined) {
      // What a person ends keeps the numbers of that moment.
      this.looks.show(id);
      rollOut.actor.send(event);
    }
    const snapshot = await reached;
    await rollOut.saved;
    return snapshot;
  }

  /** An instance has left; `failed` if it had failed under its deployment. */
  noteLeft(id: string, failed: boolean, origin: Origin): void {
    this.#active.get(id)?.actor.send({ type: "left", failed, origin });
  }

  touchAll(): void {
    for (const id of this.#active.keys()) this.looks.touch(id);
  }

  stop(reason: unknown): void {
    this.#ended ??= { reason };
    this.looks.stop();
    for (const rollOut of this.#active.values()) {
      rollOut.wake?.cancel();
      for (const waiter of rollOut.waiters) waiter.failed(reason);
      rollOut.actor.stop();
    }
    this.#active.clear();
  }

  #spawn(
    record: DeploymentRecord,
    restored: ReturnType<typeof deploymentFromRecord> | undefined,
    origin: Origin,
  ): DeploymentActor {
    const { id } = record;
    const input = { record, nowMs: this.#term.nowMs(), judgeFromMs: this.#parts.judgeFromMs() };
    const rollOut = new RollOut((self) =>
      this.#term.host.spawn({
        kind: "deployment",
        id,
        machine: deploymentMachine,
        input,
        ...(restored === undefined ? {} : { restored }),
        perform: (command) => {
          if (command.type === "alert") this.#parts.onAlert(command.code, command.message);
        },
        durable: {
          recordOf: (snapshot) => snapshot.context.record,
          save: (saved, commands, event) => {
            this.#save(saved as DeploymentRecord, commands, self, originOf(event, origin));
            return self.saved;
          },
          onSaveFailed: (error) => {
            const facts = { deployment: id, error: messageOf(error) };
            this.#term.log.debug(facts, "a step of a deployment was not written");
            this.#term.fail(error);
          },
        },
        supervision: { onGiveUp: (error) => this.#term.fail(error) },
        publicView: ({ context: { record, plan, step } }) => ({ record, plan, step }),
        onTransition: (snapshot) => this.#onTransition(id, self, snapshot),
      }),
    );
    if (restored !== undefined) rollOut.written = record;
    this.#active.set(id, rollOut);
    this.#standing = undefined;
    this.looks.touch(id);
    return rollOut.actor;
  }

  #onTransition(id: string, rollOut: RollOut, snapshot: DeploymentSnapshot): void {
    for (const waiter of rollOut.waiters) {
      if (!waiter.holds(snapshot)) continue;
      rollOut.waiters.delete(waiter);
      waiter.done(snapshot);
    }
    if (snapshot.context.record.stage === "finished") this.#finish(id, rollOut, snapshot.context.record);
  }

  /** Once the outcome is durable, and what follows from it is done, the actor is not needed any more. */
  #finish(id: string, rollOut: RollOut, record: DeploymentRecord): void {
    const { clock, index } = this.#term;
    const close = (): void => {
      if (!this.#active.delete(id)) return;
      rollOut.wake?.cancel();
      rollOut.actor.stop();
      this.#keepFinished(record);
      index.forget(id);
      this.#parts.onFinished(record);
    };
    // The term ends with a write that failed.
    const afterSaved = (): void =>
      void rollOut.saved.then(() => clock.setTimer(0, close)).catch(() => undefined);
    clock.setTimer(0, afterSaved);
  }

  #keepFinished(record: DeploymentRecord): void {
    this.#standing = undefined;
    const dropped = this.#history.keep(record);
    if (dropped === undefined) return;
    const event = {
      kind: "deployment",
      id: dropped,
      type: "deployment.forgotten",
      data: {},
      ...byRule("history", record.id),
    } as const;
    this.#term.writer
      .add({ deletes: [keys.deployment(dropped)], events: [event] })
      .catch((error: unknown) => {
        const facts = { deployment: dropped, error: messageOf(error) };
        this.#term.log.debug(facts, "an old deployment was not removed");
      });
  }

  /**
   * The record and everything of the commands that the ledger keeps are one unit. Commands to members are given
   * at once: what the members write follows in the same queue, so the ledger sees it in this order.
   */
  #save(
    record: DeploymentRecord,
    commands: readonly DeploymentCommand[],
    rollOut: RollOut,
    originOf: (what: Happening<"deployment">) => Origin,
  ): void {
    const puts: { key: string; value: unknown }[] = [];
    // Most looks change nothing, and write nothing.
    if (record !== rollOut.written) puts.push({ key: keys.deployment(record.id), value: record });
    rollOut.written = record;
    this.#standing = undefined;
    const rollback = this.#rollbackIn(record, commands);
    if (rollback !== undefined) puts.push({ key: keys.deployment(rollback.id), value: rollback });
    const notes = commands.flatMap(noteIn);
    this.#term.counters.stuckDeployments += notes.filter(({ what }) => what === "stuck").length;
    if (puts.length > 0 || notes.length > 0) {
      const events = [
        ...explained({ kind: "deployment", ...record }, notes, originOf),
        ...(rollback === undefined ? [] : [rollbackEvent(rollback, originOf("rollback"))]),
      ] as const;
      rollOut.saved = this.#term.writer.add({ puts, events });
    }
    for (const command of commands) {
      if (command.type === "wake") this.#wake(record.id, command.atMs);
      else this.#instructions.carryOut(record, command);
    }
    if (rollback !== undefined) this.#spawn(rollback, undefined, byRule(rolloutRule, record.id));
  }

  #rollbackIn(
    record: DeploymentRecord,
    commands: readonly DeploymentCommand[],
  ): DeploymentRecord | undefined {
    const begin = commands.find((command) => command.type === "beginRollback");
    return begin && newRollback(record, this.newId(), begin.mark, this.#touched(record.id));
  }

  #touched(deployment: string): number {
    let touched = 0;
    for (const { claim } of this.#term.index.membersOf(deployment).values()) if (wasTouched(claim)) touched++;
    return touched;
  }

  /** Deployments that were rolled back, or are being, by the newest rollback. */
  undone(): ReadonlyMap<string, string> {
    return undoneIn(this.records());
  }

  /** Completed deployments that were not rolled back, the oldest first. */
  standing(): readonly DeploymentRecord[] {
    this.#standing ??= standingIn([...this.records()]);
    return this.#standing;
  }

  /** It is not over, or its rollback is to take its instances over. */
  isOwner(deployment: string): boolean {
    if (this.#active.has(deployment)) return true;
    for (const { actor } of this.#active.values())
      if (actor.snapshot().context.record.rollbackOf === deployment) return true;
    return false;
  }

  targetsOf(record: DeploymentRecord): Target[] {
    return targetsOf(record, this.#members.records(), this.#surroundingsOf(record));
  }

  /** What a deployment would take if another one did not have it. */
  overlapsOf(record: DeploymentRecord): Overlap[] {
    return overlapsOf(record, this.#members.records(), this.#surroundingsOf(record));
  }

  #surroundingsOf(record: DeploymentRecord): Surroundings {
    return surroundingsOf(record, {
      records: this.records(),
      record: (id) => this.record(id),
      isSilent: (instance) => this.#members.find(instance)?.snapshot().context.silent ?? true,
    });
  }

  #wake(id: string, atMs: number): void {
    const rollOut = this.#active.get(id);
    rollOut?.wake?.cancel();
    if (rollOut === undefined || !Number.isFinite(atMs)) return;
    rollOut.wake = this.#term.clock.setTimer(Math.max(1, atMs - this.#term.nowMs()), () => {
      // A timer may be a little early, and it is not asked for a second time.
      if (this.#term.nowMs() < atMs) this.#wake(id, atMs);
      else this.looks.touch(id);
    });
  }
}
