import type { InFlight, Observed } from "../../machines/deployment-plan.js";
import type { DeploymentCommand, DeploymentContext } from "../../machines/deployment-record.js";
import type { Sighting } from "../../machines/member.js";
import type {
  Claim,
  DeploymentRecord,
  DeploymentSpec,
  InstanceRecord,
  Mark,
} from "../../src/contracts/deployment.js";
import type { Reason } from "../../src/contracts/instance.js";
import type { VersionPair } from "../../src/contracts/version.js";

/** Plain samples for the tests of the machines: each says only what its test is about. */

export const v1: VersionPair = { release: "v1", config: null };
export const v2: VersionPair = { release: "v2", config: null };
export const v2c1: VersionPair = { release: "v2", config: "c1" };

export const broken: Reason = { code: "HEALTH_CHECK_FAILED", message: "It does not answer." };

export function instanceOf(changes: Partial<InstanceRecord> = {}): InstanceRecord {
  return {
    format: 1,
    id: "i1",
    agent: "a1",
    labels: { tier: "web" },
    joinedAtMs: 0,
    generation: 0,
    desired: null,
    stable: null,
    claim: null,
    last: null,
    owed: null,
    resetGeneration: 0,
    ...changes,
  };
}

export function claimOf(changes: Partial<Claim> = {}): Claim {
  return {
    deployment: "d1",
    state: "waiting",
    target: v2,
    before: v1,
    urgent: false,
    toldAtMs: null,
    minHealthyMs: 10_000,
    hasFailed: false,
    reason: null,
    ...changes,
  };
}

export type SightingChanges = Partial<Omit<Sighting, "state">> & Partial<Sighting["state"]>;

/** What an instance says: healthy on v1 for a minute, of generation 0, unless the test says otherwise. */
export function sightingOf(changes: SightingChanges = {}): Sighting {
  const {
    incarnation = "n1",
    observedGeneration = 0,
    ledger = "own",
    digest = "x",
    healthyForMs = 60_000,
    phaseAgeMs = 0,
    ...state
  } = changes;
  return {
    incarnation,
    observedGeneration,
    ledger,
    digest,
    healthyForMs,
    phaseAgeMs,
    state: {
      labels: { tier: "web" },
      health: "HEALTHY",
      reason: null,
      running: v1,
      phase: "ACTIVE",
      progress: 100,
      note: "",
      port: 8_080,
      pid: 1_000,
      restarts: 0,
      agentVersion: "1.0.0",
      ...state,
    },
  };
}

export function specOf(changes: Partial<DeploymentSpec> = {}): DeploymentSpec {
  return {
    release: "v2",
    config: null,
    selector: null,
    batch: 2,
    failureThreshold: 2,
    minHealthyMs: 10_000,
    deadlineMs: 100_000,
    progressDeadlineMs: 1_000_000,
    rollback: "auto",
    reason: null,
    ...changes,
  };
}

export type DeploymentChanges = Partial<Omit<DeploymentRecord, "spec">> & {
  readonly spec?: Partial<DeploymentSpec>;
};

/** A roll-out of v2 to ten instances, two at a time, that fails with the second failure. */
export function deploymentOf({ spec, ...changes }: DeploymentChanges = {}): DeploymentRecord {
  return {
    format: 1,
    id: "d1",
    generation: 1,
    requestKey: null,
    created: byAnna(0),
    spec: specOf(spec),
    release: null,
    config: null,
    rollbackOf: null,
    retryOf: null,
    batch: 2,
    failureThreshold: 2,
    matched: 10,
    stage: "preparing",
    paused: null,
    held: null,
    forced: false,
    clock: { ranMs: 0, runningSinceMs: null },
    movedAtMs: 0,
    stuckAtMs: null,
    leftFailed: 0,
    ending: null,
    outcome: null,
    finishedAtMs: null,
    counts: null,
    ...changes,
  };
}

export function byAnna(atMs: number, reason: string | null = null): Mark {
  return { by: "anna", atMs, reason };
}

/** Nobody is silent. */
export const calm: Observed["silence"] = {
  others: 8,
  silent: 0,
  newlySilent: 0,
  calmSinceMs: 0,
  windowMs: 7_000,
};
/** More than 30 % went silent within one window. */
export const mass: Observed["silence"] = {
  others: 8,
  silent: 4,
  newlySilent: 4,
  calmSinceMs: null,
  windowMs: 7_000,
};

/** Ten instances, all of them waiting, unless the test says otherwise; as many as are named, unless it says that there are more. `step` is the deployment's newest. */
export function observedOf(changes: Partial<Observed> & Pick<Observed, "step">): Observed {
  const { flights = [], nextUrgent = [] } = changes;
  const awaited = changes.awaited ?? flights.length;
  return {
    total: 10,
    notNeeded: 0,
    succeeded: 0,
    failed: 0,
    everFailed: 0,
    waiting: 10,
    next: ["i1", "i2"],
    urgent: nextUrgent.length,
    nextUrgent,
    unreachable: 0,
    inFlight: awaited,
    awaited,
    flights,
    returnable: 0,
    unwritten: 0,
    silence: calm,
    ...changes,
  };
}

export function flightOf(instance: string, changes: Partial<InFlight> = {}): InFlight {
  return { instance, toldAtMs: 0, ...changes };
}

/** The commands that make something happen, by their types; notes, alerts and wake-ups left out. */
export function deeds(emitted: readonly DeploymentCommand[]): string[] {
  return emitted.map(({ type }) => type).filter((type) => !["note", "alert", "wake"].includes(type));
}

export function contextOf(
  record: DeploymentRecord,
  changes: Partial<DeploymentContext> = {},
): DeploymentContext {
  return {
    record,
    observed: null,
    plan: null,
    step: 0,
    movedAtMs: record.movedAtMs,
    nowMs: 0,
    judgeFromMs: 0,
    wakeAtMs: null,
    ...changes,
  };
}
