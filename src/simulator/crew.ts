import type { UnsentReports } from "../coordinator/leader.js";
import type { SeededRandom } from "../runtime/random.js";
import type { Member } from "./members.js";
import type { RehearsalPlan } from "./plan.js";
import type { SimulatedWorld } from "./world.js";

/** What the instances of a rehearsal have to tell whoever keeps the results. */
export interface CrewListener {
  /** A process of the new version has been started on the instance. */
  onRan(instance: string): void;
}

export interface CrewParts {
  readonly world: SimulatedWorld;
  readonly plan: RehearsalPlan;
  readonly members: readonly Member[];
  /** For what becomes of updates, and nothing else: the same for every strategy. */
  readonly fates: SeededRandom;
  readonly listener: CrewListener;
}

/** The instances of a rehearsal. Real agents or stand-ins, they speak the same protocol and meet the same fates. */
export interface Crew {
  /** Every instance runs {@link oldVersion}, healthy, and has said so; time passes. */
  start(control: CrewControl): Promise<void>;
  /** Of whom reports were left out; `undefined` if none are. */
  readonly unsentAtMs?: UnsentReports;
}

/** What a crew needs of the coordinator in order to begin. */
export interface CrewControl {
  readonly ledgerId: string;
  /** Rolls a version out to all at once, to the end. */
  rollOut(version: string): Promise<void>;
}
