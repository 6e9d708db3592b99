import type { Observed } from "../../machines/deployment-plan.js";
import type { Ledger } from "../base/ports.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import type { FleetStatus } from "../contracts/views.js";
import type { KnownApps } from "./apps/known-apps.js";
import type { Catalog } from "./catalog.js";
import type { Leader } from "./leader.js";
import type { MemberState } from "./members.js";
import type { DeploymentState } from "./roll-out.js";

/** A deployment as a coordinator knows it. */
export interface KnownDeployment {
  readonly state: DeploymentState;
  /** How far it is with its instances; `null` once it is over. */
  readonly observed: Observed | null;
  /** The ledger has its record as it is here. */
  readonly isWritten: boolean;
}

/** What the answers of reads are made from: the knowledge of a leader, or the copy of a follower. */
export interface KnownFleet {
  readonly fleet: string;
  readonly catalog: Catalog;
  readonly apps: KnownApps;
  /** Which ledger it is, and where that comes from. */
  ledger(): Pick<Ledger, "ledgerId" | "restoredFrom">;
  /** Who leads; `null` if nobody does. */
  leader(): string | null;
  /** The newest epoch that is known; 0 before the first. */
  epoch(): number;
  /** Ledger time now. */
  nowMs(): number;
  /** Ledger time at which it was as it is known. */
  asOfMs(): number;
  members(): Iterable<MemberState>;
  member(instance: string): MemberState | undefined;
  /** How long ago an instance was heard of here; `null` if it was not. */
  reportAgeMs(instance: string): number | null;
  /** Rules that whoever knows this has found itself to break; it should never. */
  broken(): FleetStatus["broken"];
  /** Every deployment that is known, in no order. */
  deployments(): Iterable<DeploymentRecord>;
  deployment(id: string): KnownDeployment | undefined;
}

/** What a leader knows; its memory, which may be ahead of the ledger by the writes under way. */
export function knownBy(leader: Leader): KnownFleet {
  const { term, members, rollOuts } = leader;
  return {
    fleet: term.fleet,
    catalog: term.catalog,
    apps: leader.apps.known,
    ledger: () => ({ ledgerId: term.ledgerId, restoredFrom: term.restoredFrom }),
    leader: () => term.leadership.holder,
    epoch: () => term.leadership.epoch,
    nowMs: () => term.nowMs(),
    asOfMs: () => term.nowMs(),
    *members() {
      for (const member of members.all().values()) yield member.snapshot();
    },
    member: (instance) => members.find(instance)?.snapshot(),
    reportAgeMs: (instance) => leader.reportAgeMs(instance),
    broken: () =>
      [...leader.selfWatch.found].map(([rule, { times, sentence }]) => ({ rule, times, sentence })),
    deployments: () => rollOuts.records(),
    deployment(id) {
      const state = rollOuts.snapshot(id);
      if (state === undefined) return undefined;
      return { state, observed: rollOuts.looks.observed(id) ?? null, isWritten: rollOuts.isWritten(id) };
    },
  };
}
