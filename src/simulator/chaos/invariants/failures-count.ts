import type { DeploymentRecord } from "../../../contracts/deployment.js";
import type { MakeInvariant, Witness } from "../invariant.js";
import { Violation } from "../invariant.js";
import type { Change, Commit, StoredEvent } from "../ledger-mirror.js";

/** Ends a deployment: what is counted by then has decided. */
const endings: ReadonlySet<string> = new Set([
  "deployment.reverting",
  "deployment.completing",
  "deployment.finished",
]);

/** What was decided in the same moment may be stored after it; more so while something is disturbed. */
const momentMs = 1_000;

/** S9. */
export const failuresCount: MakeInvariant = (witness) => {
  const { ledger } = witness;
  /** Who has failed under whose claim. */
  const failed = new Map<string, Set<string>>();
  /** When each deployment's failures reached its threshold. */
  const reachedAtMs = new Map<string, number>();
  /** Deployments whose end was seen. */
  const ended = new Set<string>();
  const rolledBackByRule = new Set<string>();

  const noteFailed = (id: string, owner: string | undefined, joinedAtMs: number): void => {
    if (owner === undefined) return;
    const instances = failed.get(owner) ?? new Set();
    failed.set(owner, instances.add(`${id} ${joinedAtMs}`));
    const { failureThreshold } = ledger.deployments.get(owner) ?? {
      failureThreshold: Number.POSITIVE_INFINITY,
    };
    if (instances.size === failureThreshold) reachedAtMs.set(owner, witness.nowMs());
  };

  const checkEnding = (record: DeploymentRecord, spentBefore: number, spent: number): void => {
    const { id, failureThreshold, ending } = record;
    const code = ending?.reason?.code;
    switch (ending?.outcome) {
      case "completed":
      case "rolled_back":
        // What fails in the moment of the decision is counted by the next look, and there is none.
        if (spentBefore >= failureThreshold)
          throw new Violation(
            `${id} is ${ending.outcome} with ${spentBefore} failures of ${failureThreshold}`,
          );
        return;
      case "failed":
      case "rollback_failed":
        if (code === "FAILURE_THRESHOLD") {
          if (spent < failureThreshold)
            throw new Violation(
              `${id} has failed by its threshold ${failureThreshold} with ${spent} failures`,
            );
          if (spent === failureThreshold) witness.mark("thresholdExact");
        } else if (code === "ROLLED_BACK") {
          if (!wasAsked(witness, "deployments.rollback", id))
            throw new Violation(`${id} is rolled back by a person, and nobody asked for it`);
        } else if (code !== "PROGRESS_DEADLINE")
          throw new Violation(`${id} has failed for no reason: ${code}`);
        return;
      case "aborted":
        if (!wasAsked(witness, "deployments.abort", id))
          throw new Violation(`${id} is aborted, and nobody asked for it`);
        return;
      default:
        throw new Violation(`${id} ends without an outcome`);
    }
  };

  const checkTold = ({ id, before, after }: Extract<Change, { kind: "instance" }>): void => {
    const claim = after?.claim ?? null;
    if (claim?.state !== "told" || before?.claim?.state === "told") return;
    const sinceMs = reachedAtMs.get(claim.deployment);
    if (sinceMs === undefined || Math.max(sinceMs, witness.disturbedAtMs()) > witness.nowMs() - momentMs)
      return;
    throw new Violation(
      `${claim.deployment} tells ${id}, ${witness.nowMs() - sinceMs} ms after its failures reached its threshold`,
    );
  };

  const checkRollback = (rollback: DeploymentRecord): void => {
    const { id, rollbackOf, retryOf, created } = rollback;
    if (rollbackOf === null) return;
    const undone = ledger.deployments.get(rollbackOf);
    if (undone === undefined) throw new Violation(`${id} goes back from ${rollbackOf}, which there is not`);
    if (undone.rollbackOf !== null)
      throw new Violation(`${id} goes back from ${rollbackOf}, itself a rollback`);
    if (created.by !== "rollcall" || retryOf !== null) return;
    if (rolledBackByRule.has(rollbackOf)) throw new Violation(`${rollbackOf} is rolled back by itself twice`);
    rolledBackByRule.add(rollbackOf);
    if (undone.spec.rollback !== "auto" || undone.outcome !== "failed")
      throw new Violation(`${id} goes back from ${rollbackOf} by itself, which is ${undone.outcome}`);
  };

  const ownersBefore = ({
    changes,
  }: Commit): Map<string, { owner: string | undefined; joinedAtMs: number }> =>
    new Map(
      changes.flatMap((change) => {
        if (change.kind !== "instance") return [];
        const { id, before, after } = change;
        return [[id, { owner: before?.claim?.deployment, joinedAtMs: (before ?? after)?.joinedAtMs ?? 0 }]];
      }),
    );

  const see = (commit: Commit): void => {
    const spentBefore = new Map<string, number>();
    const owners = ownersBefore(commit);
    const take = ({ type, id, data }: StoredEvent): void => {
      const own = owners.get(id);
      if (type === "instance.claimed" && own !== undefined) own.owner = String(data.deployment);
      else if (type === "instance.released" && own !== undefined) own.owner = undefined;
      else if (type === "instance.failed" && own !== undefined) {
        const { owner = "" } = own;
        if (!spentBefore.has(owner)) spentBefore.set(owner, failed.get(owner)?.size ?? 0);
        noteFailed(id, own.owner, own.joinedAtMs);
      } else if (endings.has(type) && !ended.has(id)) {
        ended.add(id);
        const record = ledger.deployments.get(id);
        const spent = failed.get(id)?.size ?? 0;
        if (record !== undefined) checkEnding(record, spentBefore.get(id) ?? spent, spent);
      }
    };
    commit.events.forEach(take);
  };

  return {
    id: "S9",
    says: "a deployment fails when its failures reach its threshold, or for another reason that is said; it goes back by itself once, and nothing goes back from that",
    committed(commit) {
      if (commit.events.some(({ type }) => type === "instance.failed" || endings.has(type))) see(commit);
      for (const change of commit.changes)
        if (change.kind === "instance") {
          if (reachedAtMs.size > 0) checkTold(change);
        } else if (change.kind === "deployment" && change.before === undefined && change.after !== undefined)
          checkRollback(change.after);
    },
  };
};

function wasAsked({ asked }: Witness, endpoint: string, deployment: string): boolean {
  return asked.some(
    (wish) =>
      wish.endpoint === endpoint && (wish.request as { deployment?: string }).deployment === deployment,
  );
}
