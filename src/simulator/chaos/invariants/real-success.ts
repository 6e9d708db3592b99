import type { DeploymentRecord, InstanceRecord } from "../../../contracts/deployment.js";
import { sameVersion, type VersionPair, versionText } from "../../../contracts/version.js";
import { isStranger, type MakeInvariant, Violation } from "../invariant.js";
import type { Change, StoredEvent } from "../ledger-mirror.js";
import type { SeenReport } from "../reports.js";

type InstanceChange = Extract<Change, { kind: "instance" }>;

/** By how much clocks may differ over the time for which an instance has to be healthy, and how long an end takes to be noticed. */
const slackMs = 50;
/** Who reports again after it was silent is heard of, and that follows from it, within so long. */
const backMs = 1_000;
/** Whoever reported this lately is not silent for anybody. */
const heardLatelyMs = 3_000;

/** S8. */
export const realSuccess: MakeInvariant = (witness) => {
  const { ledger, heard } = witness;
  /** When the newest generation of each instance was stored. */
  const told = new Map<string, { readonly generation: number; readonly atMs: number }>();
  /** When an instance was moved to another agent, of which nothing was taken as its own before. */
  const movedAtMs = new Map<string, number>();

  const checkSucceeded = (from: string, event: StoredEvent, record: InstanceRecord | undefined): void => {
    const { id, data } = event;
    const generation = Number(data.generation);
    const version = data.version as VersionPair | null;
    const found = record && heard.behind(from, record, event.audit.cause ?? "");
    if (found === undefined) {
      if (isStranger(witness, id)) return;
      throw new Violation(`${id} has succeeded, and nothing of it was heard`);
    }
    const { seen, report } = found;
    if (seen.takenBy.filter((by) => by === from).length > 1) witness.mark("duplicateDone");
    if (report.observedGeneration < generation)
      throw new Violation(
        `${id} has succeeded on generation ${generation}, and said ${report.observedGeneration}`,
      );
    const command = told.get(id);
    if (command?.generation === generation && seen.atMs < command.atMs)
      throw new Violation(`${id} has succeeded by what it said before it was told`);
    const minHealthyMs = minHealthyMsOf(record);
    if (version !== null && report.healthyForMs < minHealthyMs)
      throw new Violation(`${id} has succeeded after ${report.healthyForMs} of ${minHealthyMs} ms`);
    checkHost(id, version, minHealthyMs, seen);
  };

  const checkHost = (
    id: string,
    version: VersionPair | null,
    minHealthyMs: number,
    seen: SeenReport,
  ): void => {
    const { running, current } = seen;
    const runs = running.map(({ release, upForMs }) => `${release} for ${upForMs} ms`).join() || "nothing";
    if (version === null) {
      if (running.some(({ hasEnded }) => !hasEnded))
        throw new Violation(`${id} is said to be stopped, and runs ${runs}`);
      return;
    }
    const isUp = running.some(
      ({ release, upForMs }) => release === version.release && upForMs >= minHealthyMs * 0.999 - slackMs,
    );
    if (!isUp || current !== version.release)
      throw new Violation(
        `${id} has succeeded on ${versionText(version)}; it runs ${runs}, current is ${current}, ${minHealthyMs} ms were asked for`,
      );
  };

  /** `stable` is what was reached, and moves only when a deployment lets go of what it has completed. */
  const checkStable = ({ id, before, after }: InstanceChange): void => {
    if (before === undefined || after === undefined || sameVersion(before.stable, after.stable)) return;
    // It has left, and joined again in the same batch.
    if (before.joinedAtMs !== after.joinedAtMs) return;
    const { claim } = before;
    const ending = ledger.deployments.get(claim?.deployment ?? "")?.ending?.outcome;
    if (claim !== null && after.claim?.deployment !== claim.deployment) {
      if ((ending === "completed" || ending === "rolled_back") && sameVersion(after.stable, claim.target))
        return;
    }
    // The next deployment may take it in the same batch.
    const isCaughtUp = claim === null && after.owed === null && after.last?.result === "succeeded";
    const isLetGo = claim !== null && after.claim === null && after.owed === null;
    if ((isCaughtUp || isLetGo) && before.owed && sameVersion(after.stable, before.owed.target)) return;
    throw new Violation(
      `${id} was stable on ${versionText(before.stable)} and is on ${versionText(after.stable)}, though ${claim?.deployment} is ${ending}`,
    );
  };

  /** Who is left when a deployment is done: nobody who could still be brought there. */
  const checkDone = (
    record: DeploymentRecord,
    from: string,
    changed: ReadonlyMap<string, InstanceChange>,
  ): void => {
    const numbers = { total: 0, notNeeded: 0, waiting: 0, told: 0, succeeded: 0, failed: 0 };
    for (const instance of ledger.instances.values()) {
      // As it was owned: it may be let go in the same batch.
      const change = changed.get(instance.id);
      const owned = [instance, change?.before].find((known) => known?.claim?.deployment === record.id);
      const claim = owned?.claim ?? null;
      if (claim === null) continue;
      const state = claim === instance.claim ? claim.state : (resultOf(record.id, instance) ?? claim.state);
      numbers.total++;
      numbers[state]++;
      const isSilent = witness.nowMs() - (heard.heardAtMs(from, instance.id) ?? 0) > heardLatelyMs;
      // Until now it was.
      const isBack = witness.nowMs() - (heard.heardSinceMs(from, instance.id) ?? 0) < backMs;
      // Another machine has the name, until somebody moves the instance there.
      const agentId = witness.agents.get(instance.id)?.agentId;
      const isElsewhere = agentId !== undefined && agentId !== instance.agent;
      const isNew = witness.nowMs() - (movedAtMs.get(instance.id) ?? 0) < heardLatelyMs;
      const isDisturbed = witness.nowMs() - witness.disturbedAtMs() < heardLatelyMs;
      if (isSilent || isBack || isElsewhere || isNew || isDisturbed) continue;
      if (state === "waiting" || (state === "told" && !claim.urgent))
        throw new Violation(`${record.id} is done, and ${instance.id}, which is there, is ${state}`);
    }
    const { counts } = record;
    if (counts === null) return;
    if (counts.total !== numbers.total || counts.succeeded > numbers.succeeded + numbers.failed)
      throw new Violation(
        `${record.id} counts ${JSON.stringify(counts)}, its claims say ${JSON.stringify(numbers)}`,
      );
  };

  return {
    id: "S8",
    says: "an instance has succeeded only if it really runs exactly that, for as long as asked, by what it said after it was told; and a deployment only if nobody it could reach is left",
    committed({ atMs, from, changes, events }) {
      let changed: Map<string, InstanceChange> | undefined;
      const letGo = new Set<string>();
      for (const event of events) {
        if (event.type === "instance.released") letGo.add(event.id);
        if (event.type !== "instance.succeeded") continue;
        changed ??= instancesIn(changes);
        const own = changed.get(event.id);
        const unchanged = ledger.instances.get(event.id);
        checkSucceeded(from, event, (letGo.has(event.id) ? own?.after : own?.before) ?? unchanged);
      }
      for (const change of changes) {
        if (change.kind === "desired.instance" && change.after !== undefined) {
          told.set(change.id, { generation: change.after.generation, atMs });
        }
        if (change.kind === "instance") {
          checkStable(change);
          const { id, before, after } = change;
          if (before !== undefined && after !== undefined && before.agent !== after.agent)
            movedAtMs.set(id, atMs);
        }
        if (change.kind !== "deployment" || change.after === undefined) continue;
        const { before, after } = change;
        const isDone = after.ending?.outcome === "completed" || after.ending?.outcome === "rolled_back";
        if (!isDone || before === undefined || before.ending !== null) continue;
        changed ??= instancesIn(changes);
        checkDone(after, from, changed);
      }
    },
  };
};

function instancesIn(changes: readonly Change[]): Map<string, InstanceChange> {
  return new Map(changes.flatMap((change) => (change.kind === "instance" ? [[change.id, change]] : [])));
}

/** What a deployment that has it, or a finished one that owes it something, asks for; of all else that it reaches nothing depends. */
function minHealthyMsOf(record: InstanceRecord | undefined): number {
  const { claim = null, owed = null, last = null } = record ?? {};
  if (claim !== null) return claim.minHealthyMs;
  return owed !== null && owed.deployment === last?.deployment ? owed.minHealthyMs : 0;
}

function resultOf(deployment: string, { last }: InstanceRecord) {
  if (last?.deployment !== deployment) return undefined;
  return last.result === "goingBack" || last.result === "wentBack" ? undefined : last.result;
}
