import type { Bus, Clock, LedgerReader, Log, Random, RecordStore } from "../base/ports.js";
import type { Labels } from "../contracts/instance.js";
import type { Formats } from "../contracts/record-formats.js";
import type { ActorHost } from "../runtime/actor.js";
import type { Complaints } from "./complaints.js";
import type { Probes, Processes, ReleaseFiles } from "./ports.js";

/** What an agent needs of the world. */
export interface AgentPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly ledger: LedgerReader;
  readonly files: ReleaseFiles;
  readonly processes: Processes;
  readonly probes: Probes;
  readonly records: RecordStore;
  /** The actors of this process run here; without it the agent makes a host of its own. */
  readonly host?: ActorHost;
}

export interface InstanceOptions {
  readonly id: string;
  readonly labels: Labels;
}

/** What the parts of a running agent share. */
export interface AgentParts extends Required<AgentPorts> {
  readonly fleet: string;
  readonly agentId: string;
  readonly agentVersion: string;
  /** Minted at each start. */
  readonly incarnation: string;
  readonly complaints: Complaints;
  readonly formats: Formats;
}
