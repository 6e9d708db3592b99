import type { DeploymentRecord, InstanceRecord } from "../../../contracts/deployment.js";
import { sameVersion, type VersionPair, versionText } from "../../../contracts/version.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Change } from "../ledger-mirror.js";

/** An instance that was told something by a deployment, and what it is to have if that is undone. */
interface Touched {
  readonly joinedAtMs: number;
  readonly before: VersionPair | null;
}

type InstanceChange = Extract<Change, { kind: "instance" }>;

/** S5. */
export const exactWayBack: MakeInvariant = (witness) => {
  const { ledger } = witness;
  /** By deployment and instance. */
  const touched = new Map<string, Map<string, Touched>>();
  /** The deployment that told an instance something last. */
  const lastToucher = new Map<string, string>();
  /** Deployments whose rollback is over and has succeeded. */
  const undone = new Set<string>();

  const touchedBy = (deployment: string): Map<string, Touched> => {
    const found = touched.get(deployment) ?? new Map();
    touched.set(deployment, found);
    return found;
  };

  const isCutOff = (id: string): boolean => witness.isCutOff(witness.agents.get(id)?.busName ?? "");

  /** What it is claimed for, and what it has if that goes wrong, is recorded before it is told anything. */
  const checkClaim = ({ id, before, after }: InstanceChange): void => {
    const claim = after?.claim ?? null;
    const earlier = before?.claim ?? null;
    if (claim === null) return;
    if (earlier?.deployment === claim.deployment) {
      if (!sameVersion(earlier.before, claim.before) || !sameVersion(earlier.target, claim.target))
        throw new Violation(`${id}: what ${claim.deployment} wants of it, or goes back to, has changed`);
      return;
    }
    // A newcomer may be claimed by a deployment that runs, and told, in the batch in which it joins.
    if (before !== undefined && claim.state !== "waiting" && claim.state !== "notNeeded")
      throw new Violation(`${id} is ${claim.state} for ${claim.deployment} before its claim was stored`);
    const undoes = ledger.deployments.get(claim.deployment)?.rollbackOf ?? null;
    if (undoes !== null) {
      const trace = touchedBy(undoes).get(id);
      if (trace === undefined)
        throw new Violation(`${claim.deployment} takes ${id}, which ${undoes} never told anything`);
      if (!sameVersion(trace.before, claim.before) || !sameVersion(trace.before, claim.target))
        throw new Violation(
          `${claim.deployment} takes ${id} back to ${versionText(claim.target)}, before ${undoes} it had ${versionText(trace.before)}`,
        );
    } else {
      const stable = after?.stable ?? after?.owed?.target ?? null;
      if (!sameVersion(stable, claim.before))
        throw new Violation(
          `${claim.deployment} would take ${id} back to ${versionText(claim.before)}, it is stable on ${versionText(stable)}`,
        );
    }
  };

  const noteTold = ({ id, after }: InstanceChange, isTold: boolean): void => {
    if (after === undefined) {
      for (const instances of touched.values()) instances.delete(id);
      lastToucher.delete(id);
      return;
    }
    if (!isTold) return;
    const { claim, last, joinedAtMs } = after;
    const deployment = claim?.deployment ?? last?.deployment;
    if (deployment === undefined) throw new Violation(`${id} is told something by no deployment`);
    const trace = { joinedAtMs, before: (claim ?? last)?.before ?? null };
    touchedBy(deployment).set(id, trace);
    lastToucher.set(id, deployment);
  };

  /** Of a claim that has ended: what was reached stays, what was not goes back, what was never told is left alone. */
  const checkLetGo = ({ id, before, after }: InstanceChange, isTold: boolean): void => {
    const claim = before?.claim ?? null;
    if (before === undefined || after === undefined || claim === null || after.claim !== null) return;
    const deployment = ledger.deployments.get(claim.deployment);
    const isMoved = before.agent !== after.agent;
    const isLast = after.last?.deployment === claim.deployment;
    const goesBack = isLast && after.last?.result === "goingBack";
    // By an earlier decision, which stands in the same batch.
    const wasTold = isLast && claim.state === "waiting" && sameVersion(after.desired, claim.target);
    if (deployment !== undefined && mustGoBack(deployment, after, claim.deployment)) {
      if (!goesBack)
        throw new Violation(`${id} is let go by ${claim.deployment} on the way, and is not told to go back`);
      if (!sameVersion(after.desired, claim.before))
        throw new Violation(
          `${id} is to go back to ${versionText(after.desired)}, before ${claim.deployment} it had ${versionText(claim.before)}`,
        );
      if (deployment.ending?.outcome === "aborted" && isCutOff(id)) witness.mark("abortedWhileCut");
      // What an earlier one owes it may be told in the same batch, and what it was told to the agent to which it is moved.
    } else if (
      isTold &&
      !goesBack &&
      !isMoved &&
      !wasTold &&
      after.owed?.deployment !== after.last?.deployment
    )
      throw new Violation(`${id} is told something as ${claim.deployment} lets it go`);
  };

  const checkRolledBack = ({ id: rollback, rollbackOf }: DeploymentRecord): void => {
    if (rollbackOf === null) return;
    undone.add(rollbackOf);
    for (const [id, { before, joinedAtMs }] of touchedBy(rollbackOf)) {
      const record = ledger.instances.get(id);
      if (record === undefined || record.joinedAtMs !== joinedAtMs) continue;
      if (!isOf(rollbackOf, lastToucher.get(id))) {
        witness.mark("supersededLeft");
        continue;
      }
      const isOwed = record.owed?.deployment === rollback && sameVersion(record.owed.target, before);
      if (!isOwed && !sameVersion(record.desired, before))
        throw new Violation(
          `${rollback} has rolled ${rollbackOf} back, and ${id} is to run ${versionText(record.desired)}; it had ${versionText(before)}`,
        );
    }
  };

  /** It is the deployment itself, or one of its rollbacks. */
  const isOf = (rolledBack: string, deployment: string | undefined): boolean =>
    deployment === rolledBack || ledger.deployments.get(deployment ?? "")?.rollbackOf === rolledBack;

  return {
    id: "S5",
    says: "whoever goes back gets exactly what was stable there before, the untouched are left alone, and what was rolled back is asked of nobody again",
    committed({ changes }) {
      const told = new Set(
        changes.flatMap(({ kind, id, after }) => (kind === "desired.instance" && after ? [id] : [])),
      );
      for (const change of changes)
        if (change.kind === "instance") {
          checkClaim(change);
          noteTold(change, told.has(change.id));
          checkLetGo(change, told.has(change.id));
        }
      for (const change of changes) {
        if (change.kind === "desired.instance") {
          const { deployment = null } = change.after ?? {};
          if (deployment !== null && undone.has(deployment))
            throw new Violation(`${change.id} is told what ${deployment} wanted, which was rolled back`);
        }
        if (change.kind !== "deployment" || change.after === undefined) continue;
        const { before, after } = change;
        if (
          before === undefined &&
          after.rollbackOf !== null &&
          [...touchedBy(after.rollbackOf).keys()].some(isCutOff)
        )
          witness.mark("rollbackWhilePartitioned");
        if (before?.outcome == null && after.outcome === "rolled_back") checkRolledBack(after);
      }
    },
  };

  /** A deployment that has ended early, without a rollback, has told it something and did not get it there. */
  function mustGoBack(
    { rollbackOf, stage, ending }: DeploymentRecord,
    { last }: InstanceRecord,
    of: string,
  ): boolean {
    const isEndedEarly = ending?.outcome === "aborted" || ending?.outcome === "failed";
    if (rollbackOf !== null || !isEndedEarly || (stage !== "reverting" && stage !== "finished")) return false;
    return last?.deployment === of && last.result !== "succeeded";
  }
};
