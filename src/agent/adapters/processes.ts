import type { FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf } from "../../base/errors.js";
import type { Clock, Log, Random, Subscription, Timer } from "../../base/ports.js";
import { isAlive } from "../../base-node/process-identity.js";
import { refusal } from "../../contracts/errors.js";
import {
  isSameProcess,
  type ProcessExit,
  type Processes,
  type ProcessIdentity,
  type ProcessStart,
} from "../ports.js";
import { endText } from "./commands.js";
import { onDisk } from "./disk-errors.js";
import { ExitWatch } from "./exit-watch.js";
import { launchService } from "./launch-service.js";
import { type Layout, layoutOf } from "./layout.js";
import { findOwned } from "./owned-processes.js";
import { PortReservations } from "./port-reservations.js";
import { markVariables, ownerOf } from "./process-marks.js";
import { type ProcessRecord, ProcessRecords } from "./process-records.js";
import { ServiceLog } from "./service-log.js";
import { stopProcess } from "./stop-process.js";

export interface ProcessesOptions {
  /** The agent's folder, locked for this process by whoever made it. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Of the file with a service's output, and of the one older file besides it. 16 MiB unless told. */
  readonly logBytesMax?: number;
}

/** The processes of this host and what has to be ended with them. */
export interface RealProcesses extends Processes {
  /** Ends what is done in the background for the services; the services go on. */
  close(): void;
}

const defaultLogBytesMax = 16 * 1_024 ** 2;
/** Between SIGTERM and SIGKILL for what a service leaves behind that ended by itself. */
const remainsGraceMs = 1_000;
const trimEveryMs = 30_000;

/**
 * Services as real processes: each leads a process group and session of its own, prints into a file, and is written down before
 * `start` resolves, so that neither its life nor its output depends on the agent.
 *
 * - Only a program that cannot be run is `START_FAILED`; one that ends at once is told by `onExit`, also when that is called
 *   after its end. (Without `/proc` one that has ended before it could be looked at is `START_FAILED` too.)
 * - `stop` also ends what left the process group, as long as it kept its environment. Without `/proc` only the leader is known.
 * - `owned` tells of remains whose leader has ended with generation 0: they are only to be stopped.
 */
export function createProcesses(options: ProcessesOptions): RealProcesses {
  return new HostProcesses(options);
}

class HostProcesses implements RealProcesses {
  readonly #options: ProcessesOptions;
  readonly #layout: Layout;
  readonly #owner: string;
  readonly #records: ProcessRecords;
  readonly #ports: PortReservations;
  readonly #exits: ExitWatch;
  /** What this run of the agent started or adopted, by process id: whose output is kept short. */
  readonly #running = new Map<number, ProcessRecord>();
  /** Process ids that `stop` is at work on. */
  readonly #stopping = new Set<number>();
  #trimming: Timer | undefined;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.#layout = layoutOf(resolve(options.dataDir));
    this.#owner = ownerOf(this.#layout.dataDir);
    this.#records = new ProcessRecords(join(this.#layout.dataDir, "processes"), options.log);
    this.#ports = new PortReservations(options.clock);
    const { clock, log } = options;
    this.#exits = new ExitWatch({ clock, log, cleanUp: (identity) => this.#cleanUp(identity) });
    this.#trimming = options.clock.setTimer(trimEveryMs, () => void this.#trimLogs());
  }

  async start(start: ProcessStart): Promise<ProcessIdentity> {
    return await onDisk(this.#layout.dataDir, undefined, async () => {
      const since = new Date(this.#options.clock.nowMs()).toISOString();
      const output = await this.#logOf(start.instance).openFor(
        `generation ${start.generation} started ${since}`,
      );
      try {
        return await this.#launch(start, output);
      } finally {
        await output.close();
      }
    });
  }

  isAlive(identity: ProcessIdentity): boolean {
    return isAlive(identity);
  }

  onExit(identity: ProcessIdentity, ended: (exit: ProcessExit) => void): Subscription {
    return this.#exits.onExit(identity, ended);
  }

  async stop(
    identity: ProcessIdentity,
    { signal, graceMs }: { signal: string; graceMs: number },
  ): Promise<void> {
    this.#stopping.add(identity.pid);
    try {
      await this.#end(identity, signal, graceMs);
      await this.#exits.forget(identity);
    } finally {
      this.#stopping.delete(identity.pid);
    }
  }

  async tail(instance: string): Promise<string> {
    return await this.#logOf(instance).tail();
  }

  async owned(): ReturnType<Processes["owned"]> {
    const records = await this.#records.all();
    const { found, gone, missing } = findOwned(this.#owner, records);
    for (const { identity } of gone) await this.#records.remove(identity);
    for (const record of missing) await this.#records.add(record);
    for (const record of [...records, ...missing])
      if (isAlive(record.identity)) this.#running.set(record.identity.pid, record);
    return found;
  }

  async freePort(instance: string, wanted?: number): Promise<number> {
    return await this.#ports.reserve(instance, wanted);
  }

  close(): void {
    this.#trimming?.cancel();
    this.#trimming = undefined;
  }

  async #launch(start: ProcessStart, output: FileHandle): Promise<ProcessIdentity> {
    const { instance, generation } = start;
    const mark = this.#options.random.id();
    const launched = await launchService(
      start,
      markVariables(this.#owner, mark, { instance, generation }),
      output.fd,
    );
    const version = start.env.ROLLCALL_RELEASE;
    if ("problem" in launched) throw refusal("START_FAILED", { version, problem: launched.problem });
    const { identity, exited } = launched;
    if (identity === undefined) {
      const how = endText({ kind: "ended", ...(await exited) });
      const printed = (await this.tail(instance)) || "it printed nothing";
      throw refusal("START_FAILED", { version, problem: `it ended with ${how} at once: ${printed}` });
    }
    const record: ProcessRecord = { format: 1, instance, generation, start: mark, identity };
    this.#running.set(identity.pid, record);
    this.#exits.follow(identity, exited);
    try {
      await this.#records.add(record);
    } catch (thrown) {
      await this.stop(identity, { signal: "SIGKILL", graceMs: 0 });
      throw thrown;
    }
    // Its end may have been noticed before there was a record to remove.
    if (!isAlive(identity)) await this.#records.remove(identity);
    const port = Number(start.env.PORT);
    if (Number.isInteger(port) && port > 0) this.#ports.use(port, instance, () => isAlive(identity));
    return identity;
  }

  /** Once a service has ended, nothing that it started may go on and hold its port. Nobody asked, so it is quick about it. */
  async #cleanUp(identity: ProcessIdentity): Promise<void> {
    if (!this.#stopping.has(identity.pid)) await this.#end(identity, "SIGTERM", remainsGraceMs);
  }

  async #end(identity: ProcessIdentity, signal: string, graceMs: number): Promise<void> {
    const { clock, log } = this.#options;
    const start = await this.#startOf(identity);
    await stopProcess(identity, { signal, graceMs, start, owner: this.#owner, clock, log });
    this.#running.delete(identity.pid);
    await onDisk(this.#layout.dataDir, undefined, () => this.#records.remove(identity));
  }

  async #startOf(identity: ProcessIdentity): Promise<string | undefined> {
    const isIt = ({ identity: one }: ProcessRecord) => isSameProcess(one, identity);
    const known = this.#running.get(identity.pid);
    if (known !== undefined && isIt(known)) return known.start;
    return (await this.#records.all()).find(isIt)?.start;
  }

  #logOf(instance: string): ServiceLog {
    return new ServiceLog(
      this.#layout.instance(instance).log,
      this.#options.logBytesMax ?? defaultLogBytesMax,
    );
  }

  async #trimLogs(): Promise<void> {
    const instances = new Set([...this.#running.values()].map(({ instance }) => instance));
    for (const instance of instances) {
      try {
        await this.#logOf(instance).trim();
      } catch (thrown) {
        this.#options.log.warn(
          { instance, problem: messageOf(thrown) },
          "the log of a service could not be kept short",
        );
      }
    }
    if (this.#trimming !== undefined)
      this.#trimming = this.#options.clock.setTimer(trimEveryMs, () => void this.#trimLogs());
  }
}
