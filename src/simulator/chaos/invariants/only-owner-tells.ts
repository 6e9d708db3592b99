import type { InstanceRecord } from "../../../contracts/deployment.js";
import type { DesiredInstance } from "../../../contracts/instance.js";
import { sameVersion, type VersionPair } from "../../../contracts/version.js";
import { type MakeInvariant, Violation } from "../invariant.js";

function versionOf(run: DesiredInstance["run"]): VersionPair | null {
  return run === null ? null : { release: run.release.version, config: run.config?.version ?? null };
}

/** S2: of who may disturb an instance that works. */
export const onlyOwnerTells: MakeInvariant = ({ ledger, agents }) => {
  /** Why an instance may be told this; `undefined` for no reason. */
  const reasonFor = (
    desired: DesiredInstance,
    before: InstanceRecord | undefined,
    { claim, owed, last }: InstanceRecord,
  ): string | undefined => {
    const version = versionOf(desired.run);
    const { deployment } = desired;
    if (deployment === null)
      return last !== null && sameVersion(version, last.before) ? "it goes back" : undefined;
    const isClaimedBefore = before?.claim?.deployment === deployment;
    // A newcomer is claimed in the batch in which it joins.
    const isClaimed = isClaimedBefore || before === undefined;
    if (claim?.deployment === deployment)
      return isClaimed && sameVersion(version, claim.target) ? "its deployment has it" : undefined;
    // In the batch in which its deployment lets it go again.
    if (isClaimedBefore) return "its deployment had it";
    return owed?.deployment === deployment && sameVersion(version, owed.target) ? "it is owed" : undefined;
  };

  return {
    id: "S2",
    says: "nobody is told another version but by the deployment that has claimed it before, on the way back, or because it is owed; and no host ends what serves well and is what it was told",
    committed({ changes }) {
      for (const change of changes) {
        if (change.kind !== "desired.instance" || change.after === undefined) continue;
        const { id, after, before } = change;
        const version = versionOf(after.run);
        const record = ledger.instances.get(id);
        if (record === undefined) throw new Violation(`${id} is told something and is not in the fleet`);
        if (record.generation !== after.generation || !sameVersion(record.desired, version))
          throw new Violation(`${id} is told generation ${after.generation}, its record says otherwise`);
        if (before !== undefined && sameVersion(versionOf(before.run), version)) continue;
        const own = changes.find((other) => other.kind === "instance" && other.id === id);
        const earlier = own?.kind === "instance" ? own.before : record;
        if (reasonFor(after, earlier, record) === undefined)
          throw new Violation(
            `${id} is told ${version?.release ?? "to stop"} for ${after.deployment}, by nobody who may`,
          );
      }
    },
    done({ instance, what, release, generation }) {
      const desired = ledger.desired.get(instance);
      if (what !== "stop" || release === null || desired?.generation !== generation) return;
      const node = agents.get(instance);
      const state = node?.agent?.stateOf(instance);
      if (state?.phase !== "ACTIVE" || state.health !== "HEALTHY" || state.running?.release !== release)
        return;
      const alike = node?.host.processes.living.filter((process) => process.release === release) ?? [];
      if (alike.length === 1)
        throw new Violation(`${instance} ends ${release}, which serves and is what it was told`);
    },
  };
};
