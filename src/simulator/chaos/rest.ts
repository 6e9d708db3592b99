import type { Fleet } from "./fleet.js";
import type { Witness } from "./invariant.js";
import type { LedgerMirror } from "./ledger-mirror.js";

/** What is not at rest yet: a deployment that is not over, an instance that is not where it was told to be. */
export function unrestOf(fleet: Fleet, ledger: LedgerMirror): string | undefined {
  if (fleet.leader() === undefined) return "nobody leads";
  for (const { id, outcome, stage } of ledger.deployments.values())
    if (outcome === null) return `deployment ${id} is ${stage}`;
  for (const { id, claim, last } of ledger.instances.values()) {
    if (claim !== null) return `${id} is claimed by ${claim.deployment}`;
    if (last?.result === "goingBack") return `${id} is still going back`;
  }
  for (const [id, desired] of ledger.desired) {
    const state = fleet.agents.get(id)?.agent?.stateOf(id);
    if (state === undefined) continue;
    if (state.phase !== "ACTIVE" && state.phase !== "FAILED" && state.phase !== "STOPPED")
      return `${id} is at work, ${state.phase} of generation ${desired.generation}`;
  }
  return undefined;
}

/**
 * Within what time a fleet without faults must come to rest: every deployment that is under way to its deadline, batch by batch, its
 * rollback the same, and then what is owed to instances that were away.
 */
export function restLimitMs({ plan, ledger }: Witness): number {
  const slowestMs = Math.max(
    ...plan.releases.map(({ deadlineMs, minHealthyMs }) => deadlineMs + minHealthyMs),
  );
  const perBatchMs = slowestMs + 10_000;
  let limitMs = 4 * plan.leaseMs + 2 * plan.reconcileEveryMs + 120_000;
  for (const { outcome, batch, matched } of ledger.deployments.values())
    if (outcome === null) limitMs += 2 * (Math.ceil(Math.max(1, matched) / batch) + 1) * perBatchMs;
  // Owed: what came or went during the faults gets its turn once more.
  return limitMs + plan.instances.length * perBatchMs;
}
