import type { Slot } from "../../machines/instance-facts.js";
import {
  type Identity,
  type Launch,
  type ProcessCommand,
  processMachine,
  type StopRule,
} from "../../machines/process.js";
import { messageOf } from "../base/errors.js";
import type { Subscription } from "../base/ports.js";
import type { Actor } from "../runtime/actor.js";
import { faultOf } from "./fault.js";
import {
  journalKinds,
  type ProcessJournal,
  processFromJournal,
  processJournalOf,
  processKey,
} from "./journal.js";
import { JournalWriter } from "./journal-writer.js";
import { surroundingsOf } from "./launching.js";
import type { AgentParts } from "./parts.js";
import type { ProcessExit, ProcessIdentity } from "./ports.js";

type Told = Extract<ProcessCommand, { type: "tell" }>;

/** Whom a process's runner talks to. */
export interface ProcessOwner {
  readonly instance: string;
  told(slot: Slot, told: Told): void;
  /** Its record could not be written, or its machine failed too often: it has to begin anew from what was written. */
  lost(error: unknown): void;
}

function howOf({ code, signal }: ProcessExit): string {
  return signal === null ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;
}

/** Runs the actor of one slot: does what its machine asks of the host, and brings it what became of that. */
export class ProcessRunner {
  readonly slot: Slot;
  readonly #parts: AgentParts;
  readonly #owner: ProcessOwner;
  readonly #journal: JournalWriter;
  readonly #actor: Actor<typeof processMachine>;
  #exits: Subscription | undefined;
  #closed = false;

  constructor(parts: AgentParts, owner: ProcessOwner, slot: Slot, saved: ProcessJournal | undefined) {
    this.slot = slot;
    this.#parts = parts;
    this.#owner = owner;
    const id = processKey(owner.instance, slot);
    this.#journal = new JournalWriter(parts.records, journalKinds.process, id, saved);
    this.#actor = parts.host.spawn({
      kind: "process",
      id,
      machine: processMachine,
      input: { instance: owner.instance, slot },
      ...(saved !== undefined && { restored: processFromJournal(saved) }),
      perform: (command) => this.#perform(command),
      durable: {
        recordOf: processJournalOf,
        save: (record) => this.#journal.save(record),
        onSaveFailed: (error) => owner.lost(error),
      },
      supervision: { onGiveUp: (error) => owner.lost(error) },
      publicView: ({ context }) => ({
        release: context.launch?.release.version ?? null,
        port: context.launch?.port ?? null,
        pid: context.identity?.pid ?? null,
        restarts: context.restarts,
      }),
    });
  }

  /** The record as it was last written. */
  get saved(): ProcessJournal | undefined {
    return this.#journal.saved as ProcessJournal | undefined;
  }

  /** The process that it has, and whether it can have no other: one that is being started is known only then. */
  get held(): { readonly identity: ProcessIdentity | null; readonly isSure: boolean } {
    const { value, context } = this.#actor.snapshot();
    const isSure = value === "running" || value === "stopped" || value === "failed" || value === "backoff";
    return { identity: context.identity, isSure };
  }

  get isStopped(): boolean {
    return this.#actor.snapshot().value === "stopped";
  }

  run(order: number, launch: Launch): void {
    this.#actor.send({ type: "run", order, launch });
  }

  halt(order: number): void {
    this.#actor.send({ type: "halt", order });
  }

  /** After a start of the agent: whether the process that the record names still runs. */
  resume(): void {
    const { identity } = this.#actor.snapshot().context;
    this.#actor.send({
      type: "restored",
      alive: identity !== null && this.#parts.processes.isAlive(identity),
    });
  }

  /** Ends the process without another start; the agent is going. */
  end(): void {
    this.halt(this.#actor.snapshot().context.order + 1);
  }

  /** Lets go of the actor; a process that runs goes on. */
  close(): void {
    this.#closed = true;
    this.#exits?.unsubscribe();
    this.#actor.stop();
  }

  #perform(command: ProcessCommand): void {
    switch (command.type) {
      case "spawn":
        void this.#spawn(command.run, command.launch);
        break;
      case "watch":
        this.#watch(command.run, command.identity);
        break;
      case "kill":
        void this.#kill(command.run, command.identity, command.stop);
        break;
      default:
        this.#owner.told(this.slot, command);
    }
  }

  async #spawn(run: number, launch: Launch): Promise<void> {
    const { files, processes } = this.#parts;
    const { instance } = this.#owner;
    try {
      // A port that somebody else holds is said by name here, before the process says it in words of its own.
      await processes.freePort(instance, launch.port);
      const { start: command, stop } = launch.release.manifest;
      const start = {
        instance,
        generation: launch.generation,
        command,
        ...surroundingsOf(files, instance, launch),
      };
      const identity = await processes.start(start);
      if (this.#closed) await processes.stop(identity, stop);
      else this.#actor.send({ type: "spawned", run, identity });
    } catch (error) {
      if (!this.#closed)
        this.#actor.send({
          type: "spawnFailed",
          run,
          fault: faultOf(error),
          unit: this.#parts.random.unit(),
        });
    }
  }

  #watch(run: number, identity: Identity): void {
    this.#exits?.unsubscribe();
    this.#exits = this.#parts.processes.onExit(identity, (exit) => void this.#exited(run, howOf(exit)));
  }

  async #exited(run: number, how: string): Promise<void> {
    const tail = await this.#parts.processes
      .tail(this.#owner.instance)
      .catch((error: unknown) => `its output cannot be read: ${messageOf(error)}`);
    const output = tail === "" ? "it has written nothing" : tail;
    if (!this.#closed)
      this.#actor.send({ type: "exited", run, how, output, unit: this.#parts.random.unit() });
  }

  async #kill(run: number, identity: Identity, stop: StopRule): Promise<void> {
    try {
      await this.#parts.processes.stop(identity, stop);
      if (!this.#closed) this.#actor.send({ type: "killed", run });
    } catch (error) {
      this.#parts.complaints.add(
        "workFailed",
        this.#owner.instance,
        { pid: identity.pid, error: messageOf(error) },
        "a process could not be ended; it is tried again",
      );
      if (!this.#closed) this.#actor.send({ type: "killFailed", run });
    }
  }
}
