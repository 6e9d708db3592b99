import type { Claim, InstanceRecord } from "../../../contracts/deployment.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** What the claims of one deployment come to; those that a rollback tells at once are outside its slots. */
class Out {
  readonly told = new Set<string>();
  readonly urgent = new Set<string>();
  /** Failed under their claim before they succeeded, and are not told again. */
  readonly lost = new Set<string>();
  readonly succeeded = new Set<string>();
  /** The same, of instances that have left. */
  lostAndLeft = 0;

  put(id: string, claim: Claim | undefined): void {
    for (const set of [this.told, this.urgent, this.lost]) set.delete(id);
    if (claim === undefined) return;
    if (claim.state === "succeeded") this.succeeded.add(id);
    if (claim.state === "told") (claim.urgent ? this.urgent : this.told).add(id);
    else if (claim.hasFailed && !claim.urgent && !this.succeeded.has(id)) this.lost.add(id);
  }

  leave(id: string): void {
    if (this.lost.has(id)) this.lostAndLeft++;
    this.put(id, undefined);
    this.succeeded.delete(id);
  }
}

/** B1, in place of S1: from the claims as they are stored, whoever leads. */
export const batchBound: MakeInvariant = ({ ledger }) => {
  const outs = new Map<string, Out>();
  const outOf = (deployment: string): Out => {
    const out = outs.get(deployment) ?? new Out();
    outs.set(deployment, out);
    return out;
  };
  /** Instances on their way to what a finished deployment owes them. */
  const catchingUp = new Map<string, Set<string>>();

  const check = (deployment: string, { told, urgent, lost, lostAndLeft }: Out): void => {
    const record = ledger.deployments.get(deployment);
    if (record === undefined) return;
    const { batch, failureThreshold, rollbackOf } = record;
    if (rollbackOf === null && urgent.size > 0)
      throw new Violation(`${deployment} is no rollback and tells ${[...urgent]} outside its batch`);
    if (told.size > batch)
      throw new Violation(`${deployment} has ${told.size} in flight, ${[...told]}, its batch is ${batch}`);
    const out = told.size + lost.size + lostAndLeft;
    if (out > batch + failureThreshold - 1)
      throw new Violation(
        `${deployment} has ${told.size} in flight and ${lost.size + lostAndLeft} failed; its batch is ${batch}, its threshold ${failureThreshold}`,
      );
  };

  const seeCatchingUp = (
    id: string,
    before: InstanceRecord | undefined,
    after: InstanceRecord | undefined,
  ) => {
    const was = owedAndTold(before);
    const is = owedAndTold(after);
    if (was === is) return;
    catchingUp.get(was ?? "")?.delete(id);
    if (is === null) return;
    const together = catchingUp.get(is) ?? new Set();
    catchingUp.set(is, together.add(id));
    const batch = ledger.deployments.get(is)?.batch ?? 1;
    // Whom a person resets is told again at once; and who was told under a claim that is over stays on its way.
    if (was === null && before?.claim === null && before.last?.result !== "failed" && together.size > batch)
      throw new Violation(`${is} brings ${[...together]} to what it owes them, its batch is ${batch}`);
  };

  return {
    id: "B1",
    says: "in flight are no more than the batch, and with the failed ones no more than batch + threshold - 1",
    committed({ changes }) {
      const touched = new Set<string>();
      for (const change of changes) {
        if (change.kind !== "instance") continue;
        const { id, before, after } = change;
        const from = before?.claim?.deployment;
        const to = after?.claim?.deployment;
        if (from !== undefined && from !== to)
          outOf(from)[after === undefined ? "leave" : "put"](id, undefined);
        if (to !== undefined) outOf(to).put(id, after?.claim ?? undefined);
        if (to !== undefined) touched.add(to);
        seeCatchingUp(id, before, after);
      }
      for (const deployment of touched) check(deployment, outOf(deployment));
    },
  };
};

function owedAndTold(record: InstanceRecord | undefined): string | null {
  if (record === undefined || record.claim !== null || record.owed === null) return null;
  const { owed, last } = record;
  return last?.deployment === owed.deployment && last.result === "told" ? owed.deployment : null;
}
