import type { Claim, DeploymentRecord } from "../../../contracts/deployment.js";
import type { Report } from "../../../contracts/instance.js";
import { ranMs } from "../deployment-clock.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import { Undisturbed } from "../undisturbed.js";

/** Two report intervals in which a new leader judges nobody, and what it takes to read what there is. */
const calmForMs = 15_000;
/** A report interval, a look of the leader, and a write: by so much anything may be later than it was due. */
const lagMs = 10_000;
const lookEveryMs = 1_000;

/** L6: while things still go wrong elsewhere. What is left then, `rest.ts` finds. */
export const deadlines: MakeInvariant = (witness) => {
  const { ledger } = witness;
  const undisturbed = new Undisturbed(witness);
  /** When something of each deployment moved last, on its clock. */
  const movedAtMs = new Map<string, number>();
  /** Of each instance, what its newest report says of how far it is. */
  const progress = new Map<string, Pick<Report, "phaseAgeMs" | "healthyForMs"> & { readonly at: string }>();
  let lookAtMs = 0;

  const noteMove = (deployment: string | undefined): void => {
    const record = ledger.deployments.get(deployment ?? "");
    if (record !== undefined) movedAtMs.set(record.id, ranMs(record, witness.nowMs()));
  };

  const checkInstance = (record: DeploymentRecord, id: string, claim: Claim): void => {
    const sinceMs = ranMs(record, witness.nowMs()) - (claim.toldAtMs ?? 0);
    if (sinceMs > record.spec.deadlineMs + lagMs)
      throw new Violation(
        `${id} was told something by ${record.id} ${Math.round(sinceMs)} ms ago, its deadline is ${record.spec.deadlineMs} ms`,
      );
  };

  const checkProgress = (record: DeploymentRecord): void => {
    const stillMs = ranMs(record, witness.nowMs()) - (movedAtMs.get(record.id) ?? 0);
    const { progressDeadlineMs } = record.spec;
    if (record.stuckAtMs === null && stillMs > progressDeadlineMs + lagMs)
      throw new Violation(
        `nothing of ${record.id} has moved for ${Math.round(stillMs)} ms, its progress deadline is ${progressDeadlineMs} ms`,
      );
  };

  return {
    id: "L6",
    says: "no deadline of an instance in flight passes unnoticed by an undisturbed leader, nor that of a deployment in which nothing moves",
    happens: (happening, struck) => undisturbed.happens(happening, struck),
    committed(commit) {
      undisturbed.committed(commit);
      for (const { kind, id, before, after } of commit.changes) {
        if (kind === "deployment") noteMove(id);
        if (kind !== "instance") continue;
        noteMove(before?.claim?.deployment);
        noteMove(after?.claim?.deployment);
      }
    },
    reported({ instance, state, phaseAgeMs, healthyForMs }) {
      const claim = ledger.instances.get(instance)?.claim ?? null;
      if (claim?.state !== "told") return;
      const before = progress.get(instance);
      const at = state === undefined ? (before?.at ?? "") : `${state.phase} ${state.progress} ${state.note}`;
      const now = { at, phaseAgeMs, healthyForMs: Math.min(healthyForMs, claim.minHealthyMs) };
      progress.set(instance, now);
      const hasMoved =
        now.at !== before?.at || now.phaseAgeMs < before.phaseAgeMs || now.healthyForMs > before.healthyForMs;
      if (hasMoved) noteMove(claim.deployment);
    },
    each() {
      if (witness.nowMs() < lookAtMs) return;
      lookAtMs = witness.nowMs() + lookEveryMs;
      if (undisturbed.forMs < calmForMs) return;
      const underWay = new Set<DeploymentRecord>();
      for (const { id, claim } of ledger.instances.values()) {
        // Nobody waits for those of a rollback that are silent.
        if (claim?.state !== "told" || claim.urgent) continue;
        const record = ledger.deployments.get(claim.deployment);
        if (record?.stage !== "running" || record.clock.runningSinceMs === null) continue;
        checkInstance(record, id, claim);
        underWay.add(record);
      }
      for (const record of underWay) checkProgress(record);
    },
  };
};
