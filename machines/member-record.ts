import type { Claim, ClaimState, InstanceRecord } from "../src/contracts/deployment.js";
import type { Reason } from "../src/contracts/instance.js";
import { sameVersion } from "../src/contracts/version.js";

/** What the record of an instance says of its updates, and how each of them changes it. Pure. */

export type UpdateState = "NOT_NEEDED" | "NEEDING_UPDATE" | "IN_PROGRESS" | "COMPLETED" | "FAILED";
type Last = NonNullable<InstanceRecord["last"]>;

const updateOf: Readonly<Record<ClaimState, UpdateState>> = {
  notNeeded: "NOT_NEEDED",
  waiting: "NEEDING_UPDATE",
  told: "IN_PROGRESS",
  succeeded: "COMPLETED",
  failed: "FAILED",
};

const updateOfLast: Readonly<Record<Last["result"], UpdateState>> = {
  ...updateOf,
  // It had failed, and nobody is going to tell it again.
  waiting: "FAILED",
  goingBack: "IN_PROGRESS",
  wentBack: "COMPLETED",
};

/** How far it is, as its record has it: what a new leader goes by. */
export function updateFromRecord(record: InstanceRecord): UpdateState {
  if (record.claim !== null) return updateOf[record.claim.state];
  if (isOwed(record)) return "NEEDING_UPDATE";
  return record.last === null ? "NOT_NEEDED" : updateOfLast[record.last.result];
}

/** It was told something under this claim, be it before a reset. */
export function wasTouched(claim: Claim): boolean {
  return claim.toldAtMs !== null || claim.hasFailed;
}

/** A finished deployment's version is for it, and it was not told so yet. */
export function isOwed({ claim, owed, last }: InstanceRecord): boolean {
  return claim === null && owed !== null && !isTold(owed, last);
}

/** It was told what it was owed and is not there yet. */
export function isCatchingUp({ claim, owed, last }: InstanceRecord): boolean {
  return claim === null && owed !== null && isTold(owed, last);
}

function isTold(owed: NonNullable<InstanceRecord["owed"]>, last: InstanceRecord["last"]): boolean {
  return last !== null && last.deployment === owed.deployment && last.result !== "waiting";
}

/** There is a desired state; without one it keeps what it runs. */
export function wasTold({ desired, last, claim }: InstanceRecord): boolean {
  return desired !== null || last !== null || (claim !== null && wasTouched(claim));
}

/** For how long it must be healthy on what it was last told. */
export function minHealthyMsOf(record: InstanceRecord): number {
  if (record.claim !== null) return record.claim.minHealthyMs;
  return isCatchingUp(record) ? (record.owed?.minHealthyMs ?? 0) : 0;
}

/** Whose wish it is that it runs what it was last told; `null` on the way back, and when that is long over. */
export function wishOf(record: InstanceRecord): string | null {
  return record.claim?.deployment ?? (isCatchingUp(record) ? (record.owed?.deployment ?? null) : null);
}

function withClaim(record: InstanceRecord, change: Partial<Claim>): InstanceRecord {
  return record.claim === null ? record : { ...record, claim: { ...record.claim, ...change } };
}

function withResult(record: InstanceRecord, result: Last["result"], reason?: Reason): InstanceRecord {
  if (record.last === null) return record;
  const { deployment, before } = record.last;
  return { ...record, last: { deployment, before, result, ...(reason && { reason }) } };
}

/** A claim's traces: what a rollback and a retry of its deployment go by. */
function traceOf(record: InstanceRecord): InstanceRecord["last"] {
  const { claim, last } = record;
  if (claim === null || !wasTouched(claim)) return last;
  const { deployment, before, state, reason } = claim;
  return { deployment, before, result: state, ...(reason && { reason }) };
}

/** A deployment owns it from now on. A rollback takes it over from the deployment that it undoes. */
export function claimed(
  record: InstanceRecord,
  claim: Pick<Claim, "deployment" | "target" | "before" | "urgent" | "minHealthyMs" | "state">,
): InstanceRecord {
  const isTakenOver = record.claim !== null && record.claim.deployment !== claim.deployment;
  return {
    ...record,
    claim: {
      deployment: claim.deployment,
      state: claim.state,
      target: claim.target,
      before: claim.before,
      urgent: claim.urgent,
      toldAtMs: null,
      minHealthyMs: claim.minHealthyMs,
      hasFailed: false,
      reason: null,
    },
    last: isTakenOver ? traceOf(record) : record.last,
    // A rollback forgives the failures that led to it.
    resetGeneration: claim.urgent ? record.generation : record.resetGeneration,
  };
}

/** Its turn has come: it is told what its claim names. */
export function told(record: InstanceRecord, toldAtMs: number): InstanceRecord {
  const { claim, generation } = record;
  if (claim === null) return record;
  return {
    ...record,
    generation: generation + 1,
    desired: claim.target,
    claim: { ...claim, state: "told", toldAtMs },
  };
}

/**
 * It is told what a finished deployment owes it. It got that from that one: a rollback of it takes this instance too.
 */
export function caughtUp(record: InstanceRecord): InstanceRecord {
  const { owed, stable, generation } = record;
  if (owed === null) return record;
  const last: Last = { deployment: owed.deployment, before: stable, result: "told" };
  return { ...record, generation: generation + 1, desired: owed.target, last };
}

/** Its claim ends early: it is told what was stable before. */
export function sentBack(record: InstanceRecord): InstanceRecord {
  const { claim, generation } = record;
  if (claim === null) return record;
  const last: Last = { deployment: claim.deployment, before: claim.before, result: "goingBack" };
  return { ...record, generation: generation + 1, desired: claim.before, claim: null, last };
}

/** It runs what it was told, healthy for long enough. */
export function succeeded(record: InstanceRecord): InstanceRecord {
  const { claim, owed, last } = record;
  if (claim !== null) return withClaim(record, { state: "succeeded", reason: null });
  if (isCatchingUp(record) && owed !== null)
    return { ...withResult(record, "succeeded"), stable: owed.target, owed: null };
  return withResult(record, isWayBack(record, last) ? "wentBack" : "succeeded");
}

/** It did not get there, or failed after it did. */
export function failed(record: InstanceRecord, reason: Reason): InstanceRecord {
  return record.claim === null
    ? withResult(record, "failed", reason)
    : withClaim(record, { state: "failed", hasFailed: true, reason });
}

/** Without a claim: what it was last told is what was stable before, not what the deployment wanted. */
function isWayBack({ desired }: InstanceRecord, last: InstanceRecord["last"]): boolean {
  if (last?.result === "goingBack" || last?.result === "wentBack") return true;
  return last?.result === "failed" && sameVersion(desired, last.before);
}

/** Its failure is forgiven: with a claim it waits for its turn again. */
export function forgiven(record: InstanceRecord): InstanceRecord {
  const { generation } = record;
  return {
    ...withClaim(record, { state: "waiting", toldAtMs: null, reason: null }),
    resetGeneration: generation,
  };
}

/** Without a claim: it is told the same once more. */
export function toldAgain(record: InstanceRecord): InstanceRecord {
  const result = !isCatchingUp(record) && isWayBack(record, record.last) ? "goingBack" : "told";
  return { ...withResult(record, result), generation: record.generation + 1 };
}

/** It belongs to another agent, which has to be told what the one before it was told. */
export function bound(record: InstanceRecord, agent: string): InstanceRecord {
  const moved = { ...record, agent };
  if (!wasTold(record)) return moved;
  return record.claim !== null || isOwed(record)
    ? { ...moved, generation: record.generation + 1 }
    : toldAgain(moved);
}

/** How a claim ends. */
export interface Release {
  /** The deployment has completed: what was reached is stable from now on. */
  readonly completed: boolean;
  /** It is a rollback: what an earlier deployment owes is still owed after it. */
  readonly undoes: boolean;
}

/**
 * The claim is over. What a completed deployment wants here and has not reached stays owed: it was away, or has failed.
 *
 * @param reached the instance runs, healthy, what the deployment wants
 */
export function released(
  record: InstanceRecord,
  { completed, undoes }: Release,
  reached: boolean,
): InstanceRecord {
  const { claim, owed, stable } = record;
  if (claim === null) return record;
  const over = { ...record, claim: null, last: traceOf(record) };
  if (!completed) return over;
  const { deployment, target, minHealthyMs } = claim;
  if (reached) {
    const isStillOwed = undoes && owed !== null && !sameVersion(owed.target, target);
    return { ...over, stable: target, owed: isStillOwed ? owed : null };
  }
  return { ...over, stable, owed: { deployment, target, minHealthyMs } };
}
