import type { CallLimits } from "../../../machines/app-facts.js";
import type { Bus, Clock, LedgerReader, Log, Random, RecordStore } from "../../base/ports.js";
import type { Formats } from "../../contracts/record-formats.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { AppEngine } from "../app-engine.js";
import type { Complaints } from "../complaints.js";
import type { AppTurns } from "./app-turns.js";

/** What an instance with apps needs of the world. */
export interface AppAgentPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly ledger: LedgerReader;
  readonly engine: AppEngine;
  /** What survives a restart of the process. */
  readonly records: RecordStore;
  /** Its actors run here; without it the agent makes a host of its own. */
  readonly host?: ActorHost;
}

/** What the parts of a running agent share. */
export interface AppParts extends Required<AppAgentPorts> {
  readonly fleet: string;
  readonly instance: string;
  readonly agentVersion: string;
  /** Minted at each start. */
  readonly incarnation: string;
  readonly limitsMs: CallLimits;
  readonly turns: AppTurns;
  readonly complaints: Complaints;
  readonly formats: Formats;
}
