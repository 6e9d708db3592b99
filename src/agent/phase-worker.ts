import type { InstanceCommand, InstanceEvent } from "../../machines/instance-facts.js";
import type { Launch } from "../../machines/process.js";
import { messageOf } from "../base/errors.js";
import { faultOf, isTransient } from "./fault.js";
import type { AgentParts } from "./parts.js";
import type { ActiveRelease, PhaseWork } from "./ports.js";
import { WorkQueue } from "./work-queue.js";

/** Releases kept on disk beside the ones that are never pruned. */
const keptMax = 3;
const noteMax = 256;
/** Progress is passed on at most this often; it is shown to people and proves that the work moves. */
const progressEveryMs = 200;

/** The ids of work that no phase waits for, in the queue. */
const abandonId = -1;
const pruneId = -2;
const restoreId = -3;

type Command = Extract<
  InstanceCommand,
  {
    type:
      | "pull"
      | "build"
      | "copy"
      | "prepareNext"
      | "stageRoutes"
      | "activate"
      | "withdrawRoutes"
      | "abandon"
      | "restore"
      | "prune"
      | "cancel";
  }
>;
type Phased = Extract<Command, { release: unknown }>;

/** What became of a piece of work. */
export type WorkOutcome = Extract<InstanceEvent, { type: "phase.progress" | "phase.done" | "phase.failed" }>;

/** Does the work on the files of one instance that its machine asks for, one piece at a time. */
export class PhaseWorker {
  readonly #parts: AgentParts;
  readonly #instance: string;
  readonly #tell: (outcome: WorkOutcome) => void;
  readonly #queue = new WorkQueue();
  #closed = false;

  constructor(parts: AgentParts, instance: string, tell: (outcome: WorkOutcome) => void) {
    this.#parts = parts;
    this.#instance = instance;
    this.#tell = (outcome) => {
      if (!this.#closed) tell(outcome);
    };
  }

  perform(command: Command): void {
    const { files } = this.#parts;
    switch (command.type) {
      case "cancel":
        this.#queue.cancel(command.work);
        break;
      case "abandon":
        this.#aside(abandonId, "what a failed update left behind could not be removed", () =>
          files.abandon(this.#instance),
        );
        break;
      case "restore":
        this.#aside(restoreId, "the link and the routes of what is active could not be put right", () =>
          files.restore(this.#instance, activeOf(command.launch)),
        );
        break;
      case "prune":
        this.#aside(pruneId, "old releases could not be removed", () =>
          files.prune(this.#instance, command.keep, keptMax),
        );
        break;
      case "withdrawRoutes":
        this.#queue.add(command.work, () => this.#outcomeOf(command.work, () => this.#withdraw()));
        break;
      default:
        this.#queue.add(command.work, (signal) =>
          this.#outcomeOf(command.work, () => this.#phase(command, signal)),
        );
    }
  }

  /** Cancels what is under way; nothing is told any more. */
  close(): void {
    this.#closed = true;
    this.#queue.cancelAll();
  }

  async #outcomeOf(work: number, run: () => Promise<{ port?: number }>): Promise<void> {
    try {
      this.#tell({ type: "phase.done", work, ...(await run()) });
    } catch (error) {
      const unit = this.#parts.random.unit();
      this.#tell({ type: "phase.failed", work, fault: faultOf(error), transient: isTransient(error), unit });
    }
  }

  async #phase(command: Phased, signal: AbortSignal): Promise<{ port?: number }> {
    const { files } = this.#parts;
    const work = this.#workOf(command, signal);
    if (command.type !== "stageRoutes") {
      await files[command.type](work);
      return {};
    }
    const port = command.port ?? (await this.#parts.processes.freePort(this.#instance));
    await files.stageRoutes(work, {
      instance: this.#instance,
      port,
      routes: command.release.manifest.routes,
    });
    return { port };
  }

  async #withdraw(): Promise<{ port?: number }> {
    await this.#parts.files.withdrawRoutes(this.#instance);
    return {};
  }

  #workOf({ work, generation, release, config }: Phased, signal: AbortSignal): PhaseWork {
    let toldAtMs = Number.NEGATIVE_INFINITY;
    const progress = (percent: number, note: string): void => {
      const nowMs = this.#parts.clock.monotonicMs();
      if (signal.aborted || nowMs - toldAtMs < progressEveryMs) return;
      toldAtMs = nowMs;
      const whole = Math.min(100, Math.max(0, Math.round(percent)));
      this.#tell({ type: "phase.progress", work, percent: whole, note: note.slice(0, noteMax) });
    };
    return { instance: this.#instance, generation, release, config, signal, progress };
  }

  #aside(id: number, problem: string, run: () => Promise<void>): void {
    this.#queue.add(id, () =>
      run().catch((error: unknown) => {
        const facts = { error: messageOf(error) };
        this.#parts.complaints.add(
          "workFailed",
          this.#instance,
          facts,
          `${problem}; it is tried again with the next update`,
        );
      }),
    );
  }
}

function activeOf({ release, config, port }: Launch): ActiveRelease {
  return { release: release.version, config: config?.version ?? null, port, routes: release.manifest.routes };
}
