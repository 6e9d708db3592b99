import { z } from "zod";
import { messageOf } from "../base/errors.js";
import type { Subscription } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { InstanceState } from "../contracts/instance.js";
import { labelsSchema } from "../contracts/instance.js";
import { idSchema } from "../contracts/names.js";
import { currentFormats, type Formats } from "../contracts/record-formats.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { ActorHost } from "../runtime/actor.js";
import { createActorHost } from "../runtime/actor-host.js";
import { adopt, readJournals, reap } from "./adoption.js";
import { type Complaint, Complaints } from "./complaints.js";
import type { InstanceJournals, InstanceRunner } from "./instance-runner.js";
import { agentJournalId, journalFormat, journalKinds, readJournal, removeJournals } from "./journal.js";
import type { AgentParts, AgentPorts, InstanceOptions } from "./parts.js";
import { SupervisedInstance } from "./supervised-instance.js";
import { Upkeep } from "./upkeep.js";

export interface AgentOptions {
  readonly fleet: string;
  /** The version of the program, in reports. */
  readonly agentVersion: string;
  /** The instances that this agent runs, each with its labels. */
  readonly instances: readonly InstanceOptions[];
  /** Until a coordinator assigns another: time between two reports of an instance. Default 2,000. */
  readonly reportIntervalMs?: number;
  /** Between two looks at the links, routes, folders and processes of this host, which it puts right. Default an hour. */
  readonly upkeepEveryMs?: number;
  /** The formats that it knows. Default: those of this version; tests of upgrades give others. */
  readonly formats?: Formats;
}

/** What an agent does when it goes. */
export interface AgentStop {
  /** Its instances leave the fleet: their processes end, their records are removed, the control plane forgets them. */
  readonly leave?: boolean;
  /** The processes end too; otherwise they go on, and the next start of the agent adopts them. */
  readonly stopProcesses?: boolean;
}

export interface AgentStats {
  readonly reportsSent: number;
  /** What went wrong or was not acted on, counted since the start. */
  readonly complaints: Readonly<Record<Complaint, number>>;
}

/** Runs the actors of its instances on one host. */
export interface Agent {
  /** Minted at the first start in its records, and kept; empty before {@link start}. */
  readonly agentId: string;
  /**
   * Adopts what runs, ends what should not, starts what should run and does not, and registers by its first reports.
   *
   * @throws RollcallError `BAD_NAME` an instance's id or labels, `BAD_REQUEST` an instance twice or too many,
   *   `LEDGER_NEWER` a newer Rollcall has written the records
   */
  start(): Promise<void>;
  /** Resolves when it is silent, and, where asked, its processes have ended (or refused to for longer than their grace time). */
  stop(options?: AgentStop): Promise<void>;
  /** What an instance would report now; `undefined` for one that this agent does not have. */
  stateOf(instance: string): InstanceState | undefined;
  readonly stats: AgentStats;
}

const instancesMax = 10_000;
const reportIntervalMs = 2_000;
const upkeepEveryMs = 3_600_000;
/** How long a departing agent waits for the control plane to take note. */
const leaveMaxMs = 2_000;
/** Beyond the longest grace time of its processes, how long a departing agent waits for their end. */
const endSlackMs = 5_000;
const defaultGraceMs = 10_000;
const lookEveryMs = 50;

/**
 * Makes an agent; it does nothing before `start`.
 *
 * @example
 * const agent = createAgent(
 *   { clock, random, log, bus, ledger, files, processes, probes, records },
 *   { fleet: "default", agentVersion: "0.1.0", instances: [{ id: "web-1", labels: { tier: "web" } }] },
 * );
 * await agent.start();
 */
export function createAgent(ports: AgentPorts, options: AgentOptions): Agent {
  return new HostAgent(ports, options);
}

class HostAgent implements Agent {
  readonly #ports: AgentPorts;
  readonly #options: AgentOptions;
  readonly #complaints: Complaints;
  readonly #instances = new Map<string, SupervisedInstance>();
  #agentId = "";
  #upkeep: Upkeep | undefined;
  #ownHost: ActorHost | undefined;
  #status: Subscription | undefined;
  #state: "fresh" | "starting" | "running" | "stopped" = "fresh";

  constructor(ports: AgentPorts, options: AgentOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#complaints = new Complaints(ports.clock, ports.log);
  }

  get agentId(): string {
    return this.#agentId;
  }

  get stats(): AgentStats {
    let reportsSent = 0;
    for (const instance of this.#instances.values()) reportsSent += instance.reportsSent;
    return { reportsSent, complaints: this.#complaints.counts };
  }

  stateOf(instance: string): InstanceState | undefined {
    return this.#instances.get(instance)?.view.state;
  }

  async start(): Promise<void> {
    if (this.#state !== "fresh")
      throw refusal("BAD_REQUEST", { problem: "an agent is started once; make another" });
    checkInstances(this.#options.instances);
    this.#state = "starting";
    const { records, processes, log } = this.#ports;
    const journals = await readJournals({ records, complaints: this.#complaints });
    this.#agentId = await this.#identify(journals);
    const known = new Map(
      [...journals].filter(([id]) => this.#options.instances.some((instance) => instance.id === id)),
    );
    const { journals: ours, strangers } = await adopt(await processes.owned(), known, records);
    await reap(strangers, processes, log);
    await this.#recover();
    if (this.#state !== "starting") return;
    const parts = this.#parts();
    for (const options of this.#options.instances) {
      const journals = ours.get(options.id) ?? { instance: undefined, processes: {} };
      this.#instances.set(
        options.id,
        new SupervisedInstance(parts, options, journals, {
          intervalMs: this.#options.reportIntervalMs ?? reportIntervalMs,
          upkeep: () => upkeep,
        }),
      );
    }
    const upkeep = new Upkeep(parts, () => this.#runners(), this.#options.upkeepEveryMs ?? upkeepEveryMs);
    this.#upkeep = upkeep;
    this.#state = "running";
    this.#status = this.#ports.bus.onStatus((status) => {
      if (status === "reconnected") for (const instance of this.#instances.values()) instance.reconnected();
    });
    for (const instance of this.#instances.values()) instance.start();
  }

  async stop({ leave = false, stopProcesses = false }: AgentStop = {}): Promise<void> {
    if (this.#state === "stopped") return;
    const ends = leave || stopProcesses;
    const wasRunning = this.#state === "running";
    this.#state = "stopped";
    this.#upkeep?.close();
    this.#status?.unsubscribe();
    if (wasRunning && ends) await this.#endProcesses();
    for (const instance of this.#instances.values()) instance.close({ lastReport: ends });
    this.#ownHost?.stop();
    if (wasRunning && leave) await this.#leave();
  }

  #runners(): ReadonlyMap<string, InstanceRunner | undefined> {
    return new Map([...this.#instances].map(([id, { runner }]) => [id, runner] as const));
  }

  async #identify(journals: ReadonlyMap<string, InstanceJournals>): Promise<string> {
    const { records, random } = this.#ports;
    for (const { id, record } of await records.load(journalKinds.agent)) {
      const journal = id === agentJournalId ? readJournal("agent", id, record) : undefined;
      if (journal !== undefined) return journal.agentId;
      if (id === agentJournalId)
        this.#complaints.add(
          "journalUnreadable",
          id,
          {},
          "the record of this agent's id cannot be read; it is taken from what its instances were told",
        );
    }
    const [told] = [...journals.values()].flatMap(({ instance }) => instance?.wanted?.agent ?? []);
    const agentId = told ?? random.id();
    await records.save(journalKinds.agent, agentJournalId, { format: journalFormat, agentId });
    return agentId;
  }

  /** Before anything begins: a build of the run before would go on beside the same build of this one. */
  async #recover(): Promise<void> {
    try {
      await this.#ports.files.recover();
    } catch (error) {
      this.#ports.log.error(
        { error: messageOf(error) },
        "what an earlier run of this agent left could not be cleared away; the first work tries it again",
      );
    }
  }

  #parts(): AgentParts {
    const { clock, random, log, bus } = this.#ports;
    const { fleet, agentVersion, formats = currentFormats } = this.#options;
    let { host } = this.#ports;
    if (host === undefined) {
      host = createActorHost({ node: this.#agentId, clock, random, log, bus, subjects: subjectsOf(fleet) });
      this.#ownHost = host;
    }
    return {
      ...this.#ports,
      host,
      fleet,
      agentVersion,
      agentId: this.#agentId,
      incarnation: random.id(),
      complaints: this.#complaints,
      formats,
    };
  }

  /** Asks all processes to end and waits until they have, or their grace time is long over. */
  async #endProcesses(): Promise<void> {
    const { clock, log, processes } = this.#ports;
    const instances = [...this.#instances.values()];
    for (const instance of instances) instance.endProcesses();
    const graceMs = Math.max(defaultGraceMs, ...instances.map((instance) => instance.graceMs));
    const untilMs = clock.monotonicMs() + graceMs + endSlackMs;
    while (instances.some((instance) => !instance.isIdle)) {
      if (clock.monotonicMs() >= untilMs) {
        // Their end could not be recorded, on a full disk: none of them goes on for that.
        const ours = (await processes.owned()).filter(({ instance }) => this.#instances.has(instance));
        await reap(ours, processes, log);
        return;
      }
      await new Promise<void>((resolve) => clock.setTimer(lookEveryMs, resolve));
    }
  }

  async #leave(): Promise<void> {
    await Promise.all(
      this.#options.instances.map(async ({ id }) => {
        await this.#unregister(id);
        await this.#forget(id);
      }),
    );
  }

  /** Without an answer the control plane forgets the instance by its silence, a day later. */
  async #unregister(instance: string): Promise<void> {
    const { bus, log } = this.#ports;
    const subject = subjectsOf(this.#options.fleet).api("instances", "remove");
    const body = JSON.stringify({
      instance,
      by: `agent ${this.#agentId}`,
      reason: "the agent has left the fleet",
    });
    try {
      await bus.request(subject, body, { timeoutMs: leaveMaxMs });
    } catch (error) {
      log.warn(
        { instance, error: messageOf(error) },
        "the control plane could not be told that an instance leaves",
      );
    }
  }

  async #forget(instance: string): Promise<void> {
    const { records, log } = this.#ports;
    try {
      await removeJournals(records, instance);
    } catch (error) {
      log.warn(
        { instance, error: messageOf(error) },
        "the records of an instance that has left could not be removed",
      );
    }
  }
}

function checkInstances(instances: readonly InstanceOptions[]): void {
  if (instances.length > instancesMax)
    throw refusal("BAD_REQUEST", { problem: `an agent runs at most ${instancesMax} instances` });
  const seen = new Set<string>();
  for (const { id, labels } of instances) {
    if (!idSchema.safeParse(id).success)
      throw refusal("BAD_NAME", { what: "The instance", name: id, rule: idSchema.meta()?.description });
    const labelled = labelsSchema.safeParse(labels);
    if (!labelled.success)
      throw refusal("BAD_NAME", { what: "A label of", name: id, rule: z.prettifyError(labelled.error) });
    if (seen.has(id)) throw refusal("BAD_REQUEST", { problem: `the instance ${id} is given twice` });
    seen.add(id);
  }
}
