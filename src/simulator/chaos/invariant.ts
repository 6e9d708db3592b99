import type { Passing } from "../../bus/memory-bus.js";
import type { AppReport } from "../../contracts/app-report.js";
import type { Report } from "../../contracts/instance.js";
import type { SeenBatch } from "../../ledger/memory-ledger.js";
import type { ActorHost } from "../../runtime/actor.js";
import type { AgentNode } from "./agent-node.js";
import type { AppNode } from "./app-node.js";
import type { CoordinatorNode } from "./coordinator-node.js";
import type { Effect } from "./effect.js";
import type { Commit, LedgerMirror } from "./ledger-mirror.js";
import type { Happening, LifePlan } from "./life-plan.js";
import type { Mark } from "./marks.js";
import type { Asked } from "./people.js";
import type { ReportLog } from "./reports.js";

/** What somebody sees who sees everything. */
export interface Witness {
  readonly plan: LifePlan;
  nowMs(): number;
  readonly ledger: LedgerMirror;
  /** Those that run. */
  readonly coordinators: ReadonlyMap<string, CoordinatorNode>;
  /** The hosts in the fleet, and those that have left it. */
  readonly agents: ReadonlyMap<string, AgentNode>;
  readonly gone: readonly AgentNode[];
  /** The processes with apps. */
  readonly apps: ReadonlyMap<string, AppNode>;
  /** Of every process that ever was, what ran its actors. */
  readonly hosts: readonly ActorHost[];
  /** What each instance said of itself last, heard or not. */
  readonly reports: ReadonlyMap<string, Report>;
  /** Everything that people asked for, and what they were told. */
  readonly asked: readonly Asked[];
  /** What was reported lately, and who heard of whom when. */
  readonly heard: ReportLog;
  /** When something else than agents and their hosts was last disturbed: messages, the ledger, a coordinator. Now, while it is. */
  disturbedAtMs(): number;
  /** What this connection sends, or what is sent to it, gets lost. */
  isCutOff(bus: string): boolean;
  /** When a connection that was cut off last came back; `undefined`: never. */
  reconnectedAtMs(bus: string): number | undefined;
  /** Says that something worth reaching has happened. */
  mark(mark: Mark): void;
}

/**
 * Something that must hold in every life. Its hooks see what happens as it happens and throw a `Violation` when it does not hold. It looks
 * at what is stored, sent and done, never into a coordinator.
 */
export interface Invariant {
  /** As in the list of invariants, `S4`. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly says: string;
  /** What the plan says has begun. @param struck the processes that it went for */
  happens?(happening: Happening, struck: readonly string[]): void;
  /** A batch was stored. */
  committed?(commit: Commit): void;
  /** The store has refused a batch. */
  refused?(seen: SeenBatch, kind: string): void;
  /** A message was sent. */
  sent?(passing: Passing): void;
  /** One receiver is about to take it. */
  taking?(passing: Passing, by: string): void;
  /** One receiver has taken it. */
  taken?(passing: Passing, by: string): void;
  /** An instance has sent a report. */
  reported?(report: Report, by: string): void;
  /** An instance has sent a report about its apps. */
  appReported?(report: AppReport, by: string): void;
  /** An app runs from now on. */
  appEnabled?(node: AppNode, app: { readonly app: string; readonly version: string }): void;
  /** Something was done on a host. */
  done?(effect: Effect): void;
  /** People have got an answer. */
  answered?(asked: Asked): void;
  /** A backup of the ledger is begun. @returns what is called once it is taken, and is the newest */
  backsUp?(): () => void;
  /** The ledger is empty, or what the newest backup holds. */
  ledgerReplaced?(how: "lost" | "restored"): void;
  /** After each virtual event; must cost next to nothing. */
  each?(): void;
  /** All faults have just ended. */
  faultsOver?(): void;
  /** The fleet has come to rest. */
  atRest?(): void;
}

/** An instance belongs to an agent of which nothing is kept: a second one under its name, once the first has left. */
export function isStranger({ ledger, gone }: Witness, instance: string): boolean {
  const agent = ledger.instances.get(instance)?.agent;
  return gone.some(({ id, agentId }) => id === instance && agentId !== undefined && agentId === agent);
}

export type MakeInvariant = (witness: Witness) => Invariant;

/** What does not hold, by a sentence with the names and numbers. */
export class Violation extends Error {
  override readonly name = "Violation";
}
