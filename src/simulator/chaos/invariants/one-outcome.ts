import type { DeploymentRecord, Outcome } from "../../../contracts/deployment.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Mark } from "../marks.js";

const ofRollOuts: ReadonlySet<string> = new Set(["completed", "failed", "aborted"]);
const ofRollbacks: ReadonlySet<string> = new Set(["rolled_back", "rollback_failed", "aborted"]);
const marksOf = {
  completed: "completed",
  failed: "failed",
  aborted: "aborted",
  rolled_back: "rolledBack",
  rollback_failed: "rollbackFailed",
} as const satisfies Record<Outcome, Mark>;

/** S4. */
export const oneOutcome: MakeInvariant = (witness) => {
  /** Claims of each deployment. */
  const claims = new Map<string, number>();
  const count = (deployment: string | undefined, by: 1 | -1): void => {
    if (deployment !== undefined) claims.set(deployment, (claims.get(deployment) ?? 0) + by);
  };
  const finished = new Set<string>();

  const checkOutcome = (record: DeploymentRecord): void => {
    const { id, outcome, stage, ending, counts, rollbackOf } = record;
    if (outcome === null) {
      if (stage === "finished") throw new Violation(`${id} is finished without an outcome`);
      return;
    }
    const allowed = rollbackOf === null ? ofRollOuts : ofRollbacks;
    if (!allowed.has(outcome) || ending?.outcome !== outcome || stage !== "finished")
      throw new Violation(`${id} is ${stage} and ${outcome}, it was to end as ${ending?.outcome}`);
    if (counts === null) throw new Violation(`${id} is over without its counts`);
  };

  const checkLetGo = (id: string): void => {
    const left = claims.get(id) ?? 0;
    if (left === 0) return;
    for (const { rollbackOf, outcome } of witness.ledger.deployments.values())
      if (rollbackOf === id && outcome === null) return;
    throw new Violation(`${id} is over and still has ${left} instances`);
  };

  return {
    id: "S4",
    says: "a deployment comes to exactly one outcome, written last, and nothing about it changes from then on",
    committed({ changes, events }) {
      for (const { type, id, data } of events) {
        if (type !== "deployment.finished") continue;
        if (finished.has(id)) throw new Violation(`${id} is said to be over for the second time`);
        finished.add(id);
        if (witness.ledger.deployments.get(id)?.outcome !== data.outcome)
          throw new Violation(`${id} is said to be ${data.outcome}, its record does not say so`);
      }
      const over: string[] = [];
      for (const change of changes) {
        if (change.kind === "instance") {
          count(change.before?.claim?.deployment, -1);
          count(change.after?.claim?.deployment, 1);
        }
        if (change.kind !== "deployment") continue;
        const { id, before, after } = change;
        if (after === undefined) {
          const isForgotten = events.some(
            (event) => event.type === "deployment.forgotten" && event.id === id,
          );
          if (before?.outcome === null || !isForgotten) throw new Violation(`${id} is gone`);
          continue;
        }
        if (before === undefined && finished.has(id) && after.outcome === null)
          throw new Violation(`${id} begins again`);
        checkOutcome(after);
        if (before?.outcome != null && JSON.stringify(before) !== JSON.stringify(after))
          throw new Violation(`${id} was ${before.outcome} and is written again: ${after.outcome}`);
        if (after.outcome === null || before?.outcome != null) continue;
        witness.mark(marksOf[after.outcome]);
        over.push(id);
      }
      for (const id of over) checkLetGo(id);
    },
  };
};
