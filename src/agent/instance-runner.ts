import type { SnapshotFrom } from "xstate";
import type { HeardEpoch } from "../../machines/accepted.js";
import { instanceMachine } from "../../machines/instance.js";
import { type InstanceCommand, type Slot, slots } from "../../machines/instance-facts.js";
import type { Launch } from "../../machines/process.js";
import { messageOf } from "../base/errors.js";
import type { Actor } from "../runtime/actor.js";
import { DesiredFeed } from "./desired-feed.js";
import {
  type InstanceJournal,
  instanceFromJournal,
  instanceJournalOf,
  journalKinds,
  type ProcessJournal,
} from "./journal.js";
import { JournalWriter } from "./journal-writer.js";
import { surroundingsOf } from "./launching.js";
import type { AgentParts } from "./parts.js";
import { PhaseWorker } from "./phase-worker.js";
import { ProcessRunner } from "./process-runner.js";

/** What of an instance was written when it was last run. */
export interface InstanceJournals {
  readonly instance: InstanceJournal | undefined;
  readonly processes: Readonly<Partial<Record<Slot, ProcessJournal>>>;
}

export type InstanceSnapshot = SnapshotFrom<typeof instanceMachine>;

/** Whom a runner tells what becomes of its instance. */
export interface RunnerOwner {
  seen(snapshot: InstanceSnapshot): void;
  /** Records could not be written, or a machine failed too often: the instance has to begin anew from what was written. */
  lost(error: unknown): void;
}

/**
 * Runs the actors of one instance, its own and those of its processes: does what its machine asks of the host
 * through the ports, and brings it what became of that. It decides nothing.
 */
export class InstanceRunner {
  readonly instance: string;
  readonly #parts: AgentParts;
  readonly #owner: RunnerOwner;
  readonly #journal: JournalWriter;
  readonly #actor: Actor<typeof instanceMachine>;
  readonly #worker: PhaseWorker;
  readonly #feed: DesiredFeed;
  readonly #processes = new Map<Slot, ProcessRunner>();
  /** What {@link repair} was asked for last. */
  #repaired: string | null = null;
  /** Nothing is done for the instance any more. */
  #over = false;

  constructor(parts: AgentParts, instance: string, journals: InstanceJournals, owner: RunnerOwner) {
    this.instance = instance;
    this.#parts = parts;
    this.#owner = owner;
    this.#journal = new JournalWriter(parts.records, journalKinds.instance, instance, journals.instance);
    this.#worker = new PhaseWorker(parts, instance, (outcome) => this.#actor.send(outcome));
    this.#feed = new DesiredFeed(parts, instance, {
      desired: (state, revision) => this.#actor.send({ type: "desired", state, revision }),
      taken: (other, { ledgerId, epoch }, revision) =>
        this.#actor.send({ type: "taken", owner: other, ledgerId, revision, epoch }),
      asked: (read) => this.#actor.send({ type: "asked", read }),
      poll: () => this.#actor.send({ type: "poll" }),
    });
    for (const slot of slots) {
      const saved = journals.processes[slot];
      if (saved !== undefined) this.#processes.set(slot, this.#processRunner(slot, saved));
    }
    this.#actor = this.#spawn(journals.instance);
  }

  get snapshot(): InstanceSnapshot {
    return this.#actor.snapshot();
  }

  /** The records as they were last written. */
  get journals(): InstanceJournals {
    const processes: Partial<Record<Slot, ProcessJournal>> = {};
    for (const [slot, { saved }] of this.#processes) if (saved !== undefined) processes[slot] = saved;
    return { instance: this.#journal.saved as InstanceJournal | undefined, processes };
  }

  /** True when none of its processes runs or is to run. */
  get isIdle(): boolean {
    return [...this.#processes.values()].every((process) => process.isStopped);
  }

  /** What runs in its slots, as far as it knows. */
  get slots(): readonly ProcessRunner["held"][] {
    return [...this.#processes.values()].map((process) => process.held);
  }

  /** Puts `current` and the routes right soon, if nothing is on its way. */
  mend(): void {
    this.#actor.send({ type: "mend" });
  }

  /** Brings the files of what is active again. */
  repair(): void {
    this.#repaired = launchKey(this.snapshot.context.active?.launch);
    this.#actor.send({ type: "repair" });
  }

  /** The files of what is active were brought again once, since this was made. */
  get isRepaired(): boolean {
    return this.#repaired !== null && this.#repaired === launchKey(this.snapshot.context.active?.launch);
  }

  /** Takes up what the records tell of: what still runs is adopted, what should run is started, the desired state is read. */
  resume(): void {
    this.#feed.start();
    for (const process of this.#processes.values()) process.resume();
    this.#actor.send({ type: "resume" });
  }

  /** It may have missed what it was told. */
  readAgain(): void {
    this.#actor.send({ type: "poll" });
  }

  reconnected(): void {
    this.#actor.send({ type: "reconnected" });
  }

  seeEpoch({ epoch, ledgerId }: HeardEpoch): void {
    this.#actor.send({ type: "epoch", epoch, ledgerId });
  }

  /** Does nothing more for the instance but to end its processes; the agent is going. */
  endProcesses(): void {
    this.#over = true;
    this.#feed.close();
    this.#worker.close();
    this.#actor.stop();
    for (const process of this.#processes.values()) process.end();
  }

  /** Lets go of the actors and cancels work; processes that run go on. */
  close(): void {
    this.#over = true;
    this.#feed.close();
    this.#worker.close();
    for (const process of this.#processes.values()) process.close();
    this.#actor.stop();
  }

  #spawn(saved: InstanceJournal | undefined): Actor<typeof instanceMachine> {
    return this.#parts.host.spawn({
      kind: "instance",
      id: this.instance,
      machine: instanceMachine,
      input: { instance: this.instance },
      ...(saved !== undefined && { restored: instanceFromJournal(saved) }),
      perform: (command) => this.#perform(command),
      onTransition: (snapshot) => this.#owner.seen(snapshot),
      durable: {
        recordOf: instanceJournalOf,
        save: (record) => this.#journal.save(record),
        onSaveFailed: (error) => this.#owner.lost(error),
      },
      supervision: { onGiveUp: (error) => this.#owner.lost(error) },
      publicView: ({ context }) => ({
        generation: context.target?.generation ?? 0,
        target: context.target?.run?.release.version ?? null,
        active: context.active?.launch.release.version ?? null,
        progress: context.progress,
        failure: context.failure?.code ?? null,
      }),
    });
  }

  #processRunner(slot: Slot, saved: ProcessJournal | undefined): ProcessRunner {
    return new ProcessRunner(
      this.#parts,
      {
        instance: this.instance,
        told: (_, { order, status, pid, restarts, fault }) => {
          if (this.#over) return;
          this.#actor.send({
            type: "process",
            slot,
            order,
            status,
            pid,
            restarts,
            fault,
            atMs: this.#parts.clock.monotonicMs(),
          });
        },
        lost: (error) => this.#owner.lost(error),
      },
      slot,
      saved,
    );
  }

  #perform(command: InstanceCommand): void {
    switch (command.type) {
      case "startProcess":
        this.#start(command.slot, command.order, command.launch);
        break;
      case "stopProcess":
        this.#stop(command.slot, command.order);
        break;
      case "check":
        void this.#check(command.number, command.launch);
        break;
      case "choosePort":
        void this.#choosePort();
        break;
      case "readDesired":
        void this.#feed.read(command.read);
        break;
      default:
        this.#worker.perform(command);
    }
  }

  #start(slot: Slot, order: number, launch: Launch): void {
    let process = this.#processes.get(slot);
    if (process === undefined) {
      process = this.#processRunner(slot, undefined);
      this.#processes.set(slot, process);
    }
    process.run(order, launch);
  }

  #stop(slot: Slot, order: number): void {
    const process = this.#processes.get(slot);
    if (process !== undefined) process.halt(order);
    else {
      const atMs = this.#parts.clock.monotonicMs();
      this.#actor.send({
        type: "process",
        slot,
        order,
        status: "gone",
        pid: null,
        restarts: 0,
        fault: null,
        atMs,
      });
    }
  }

  async #choosePort(): Promise<void> {
    const port = await this.#parts.processes.freePort(this.instance).catch((error: unknown) => {
      this.#parts.complaints.add(
        "workFailed",
        this.instance,
        { error: messageOf(error) },
        "no free port was found for a service whose port was taken",
      );
      return null;
    });
    if (!this.#over) this.#actor.send({ type: "port", port });
  }

  async #check(number: number, launch: Launch): Promise<void> {
    const { probes, files, clock } = this.#parts;
    const { verdict, detail } = await probes
      .check(launch.release.manifest.healthCheck, {
        port: launch.port,
        ...surroundingsOf(files, this.instance, launch),
      })
      .catch((error: unknown) => ({ verdict: "unhealthy" as const, detail: messageOf(error) }));
    if (!this.#over)
      this.#actor.send({
        type: "checked",
        number,
        verdict,
        detail: detail.slice(0, 1_024),
        atMs: clock.monotonicMs(),
      });
  }
}

function launchKey(launch: Launch | undefined): string | null {
  return launch === undefined ? null : `${launch.ledgerId}/${launch.generation}`;
}
