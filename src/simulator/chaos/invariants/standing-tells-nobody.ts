import type { DeploymentRecord } from "../../../contracts/deployment.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Commit } from "../ledger-mirror.js";
import { Undisturbed } from "../undisturbed.js";

/** Three missed reports and a half of 2 s each; chaos has no fleet that reports less often. */
const windowMs = 7_000;
/** A look of the leader comes so often. */
const lookMs = 1_000;
const holdAtLeast = 3;
const holdShare = 0.3;
/**
 * A leader that was undisturbed for so long knows of everybody who fell silent within it when that was: it hears anew from its beginning
 * on, and after whatever has disturbed it. Sooner there is nothing to judge: nobody it has heard can have fallen silent yet.
 */
const calmForMs = 2 * windowMs + 3 * lookMs;

/** S15, of many at once: who stands tells nobody new, and who should stand does. */
export const standingTellsNobody: MakeInvariant = (witness) => {
  const { ledger, heard } = witness;
  const inFlight = new Set<string>();
  const undisturbed = new Undisturbed(witness);

  const checkSilence = (
    atMs: number,
    { id, forced }: DeploymentRecord,
    tellers: string,
    told: readonly string[],
  ) => {
    if (undisturbed.leader !== tellers || forced || undisturbed.forMs < calmForMs) return;
    let others = 0;
    let newlySilent = 0;
    for (const instance of ledger.instances.keys()) {
      if (inFlight.has(instance) && !told.includes(instance)) continue;
      others++;
      const heardAtMs = heard.heardAtMs(tellers, instance);
      if (heardAtMs === undefined) continue;
      const agoMs = atMs - heardAtMs;
      if (agoMs > windowMs + 2 * lookMs && agoMs < 2 * windowMs - lookMs) newlySilent++;
    }
    if (newlySilent >= holdAtLeast && newlySilent >= others * holdShare)
      throw new Violation(
        `${id} tells ${told}, while ${newlySilent} of ${others} instances went silent at once`,
      );
  };

  /** Whose turn came in this batch, by deployment. */
  const newlyTold = ({ changes }: Commit): Map<string, string[]> => {
    const told = new Map<string, string[]>();
    for (const change of changes) {
      if (change.kind !== "instance") continue;
      const { id, before, after } = change;
      const claim = after?.claim ?? null;
      if (claim?.state === "told") inFlight.add(id);
      else inFlight.delete(id);
      if (claim?.state !== "told" || before?.claim?.state === "told") continue;
      told.set(claim.deployment, [...(told.get(claim.deployment) ?? []), id]);
    }
    return told;
  };

  return {
    id: "S15",
    says: "a deployment that is paused, held or over tells nobody new, and one is held when so many fall silent at once",
    happens: (happening, struck) => undisturbed.happens(happening, struck),
    committed(commit) {
      undisturbed.committed(commit);
      const told = newlyTold(commit);
      if (told.size === 0 && !commit.changes.some(({ kind }) => kind === "deployment")) return;
      const changed = new Map<string, DeploymentRecord | undefined>();
      for (const change of commit.changes)
        if (change.kind === "deployment") {
          changed.set(change.id, change.before);
          if (change.after?.held && !change.before?.held) witness.mark("held");
        }
      for (const [id, instances] of told) {
        const record = ledger.deployments.get(id);
        const before = changed.has(id) ? changed.get(id) : record;
        if (record === undefined || before === undefined) continue;
        const standing = before.paused ?? before.held;
        // It may be let go on, and tell the next, in one go.
        if (standing !== null && (record.paused ?? record.held) !== null)
          throw new Violation(`${id} tells ${instances} while it stands: ${standing.reason}`);
        if (before.ending !== null) throw new Violation(`${id} tells ${instances}, and is ending`);
        checkSilence(commit.atMs, record, commit.from, instances);
      }
    },
  };
};
