import type { Bus, Clock, Ledger, Log, Random } from "../base/ports.js";
import type { AnswerSource, LedgerPlace } from "../contracts/answer-source.js";
import type { ControlPlane } from "../contracts/api.js";
import type { Formats } from "../contracts/record-formats.js";
import type { CoordinatorView } from "../contracts/views.js";
import type { ActorHost } from "../runtime/actor.js";
import type { AppsOptions } from "./apps/leader-apps.js";
import type { AskPeers } from "./fleet-formats.js";
import type { UnsentReports } from "./leader.js";
import type { AuditPages } from "./reads.js";
import type { CoordinatorFiles } from "./reconciliation-facts.js";

export interface CoordinatorPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly ledger: Ledger;
  readonly host: ActorHost;
  /** The files of releases and configurations: those of removed versions are removed. Default: they stay. */
  readonly files?: CoordinatorFiles;
  /** Who coordinates this fleet, and what they read. Default: nobody is heard, and no newer format is ever begun. */
  readonly askPeers?: AskPeers;
  /** Reads the audit log. Default: it cannot be read. */
  readonly audit?: AuditPages;
  /** For rehearsals alone: of whom reports were left out. Default: none, who is not heard is silent. */
  readonly unsentAtMs?: UnsentReports;
}

export interface CoordinatorOptions {
  readonly fleet: string;
  /** This process, by a name of its own among the fleet's coordinators. */
  readonly name: string;
  /** Between two reconciliations of one leader. Default: an hour. */
  readonly reconcileEveryMs?: number | undefined;
  /** How it looks after apps while it leads. */
  readonly apps?: AppsOptions | undefined;
  /** Time to live of the lease, milliseconds; 3,000 suits one NATS server, 12,000 a cluster. */
  readonly leaseMs: number;
  readonly version: string;
  /** The host that it runs on, for people. */
  readonly node: string;
  /** The formats that it knows. Default: those of this version; tests of upgrades give others. */
  readonly formats?: Formats;
}

/** A control-plane process: one of those that may lead a fleet. */
export interface Coordinator {
  start(): void;
  /** Hands the lease over; resolves when that is done, or cannot be done. */
  stop(): Promise<void>;
  /**
   * Answers every endpoint. While another leads reads are answered from a copy of the fleet, once there is one, and all else is
   * refused with `NO_LEADER`.
   */
  readonly plane: ControlPlane;
  /** Where answers of reads come from now; `undefined` while there are none. */
  source(): AnswerSource | undefined;
  /** Whether its copy is as good as what the leader knows; false while it leads. */
  isFresh(): boolean;
  /** Waits until its copy shows at least so much of the ledger. @returns false if it does not within the time */
  reaches(place: LedgerPlace, withinMs: number): Promise<boolean>;
  /** True while this one may act: it holds the lease, and the lease cannot have ended. */
  leads(): boolean;
  view(): CoordinatorView;
  /** Who leads, as far as this one knows; `null` if nobody does. */
  leader(): { readonly name: string | null; readonly epoch: number };
}
