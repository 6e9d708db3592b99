import type { InstanceRecord } from "../../../contracts/deployment.js";
import type { Reason } from "../../../contracts/instance.js";
import { ranMs } from "../deployment-clock.js";
import { isStranger, type MakeInvariant, Violation } from "../invariant.js";
import type { Commit, StoredEvent } from "../ledger-mirror.js";

/** Ledger time is known to a leader to within so much. */
const slackMs = 1_000;

/** S15. */
export const silenceFailsNobody: MakeInvariant = (witness) => {
  const { ledger, heard } = witness;
  /** When the newest generation of each instance was stored, and how long it may take. */
  const told = new Map<string, { readonly atMs: number; readonly deadlineMs: number }>();

  const checkFailed = (
    { atMs, from }: Commit,
    event: StoredEvent,
    before: InstanceRecord | undefined,
  ): void => {
    const { id, data } = event;
    const reason = data.reason as Reason;
    if (reason.code === "INSTANCE_DEADLINE") {
      checkDeadline(atMs, id, before);
      return;
    }
    const found = before && heard.behind(from, before, event.audit.cause ?? "");
    if (found === undefined && isStranger(witness, id)) return;
    if (found === undefined)
      throw new Violation(`${id} has failed, ${reason.code}, and nothing of it was heard`);
    const { state, observedGeneration } = found.report;
    if (state?.health !== "FAILED" || observedGeneration < Number(data.generation))
      throw new Violation(
        `${id} has failed on generation ${data.generation}, and said ${state?.health} of ${observedGeneration}`,
      );
  };

  const checkDeadline = (atMs: number, id: string, before: InstanceRecord | undefined): void => {
    const claim = before?.claim ?? null;
    const deployment = ledger.deployments.get(claim?.deployment ?? "");
    if (claim === null || deployment === undefined) {
      const command = told.get(id);
      if (command === undefined || atMs - command.atMs < command.deadlineMs - slackMs)
        throw new Violation(
          `${id} is past its deadline ${atMs - (command?.atMs ?? atMs)} ms after it was told`,
        );
      return;
    }
    if (claim.state !== "told") throw new Violation(`${id} is past its deadline, and ${claim.state}`);
    // Its clock may have been stopped in the same batch.
    const sinceMs = ranMs(deployment, atMs) - (claim.toldAtMs ?? 0);
    if (sinceMs < deployment.spec.deadlineMs - slackMs)
      throw new Violation(
        `${id} is past its deadline of ${deployment.spec.deadlineMs} ms after ${sinceMs} ms on the clock of ${deployment.id}`,
      );
  };

  const beforeOf = ({ changes }: Commit, id: string): InstanceRecord | undefined => {
    const own = changes.find((change) => change.kind === "instance" && change.id === id);
    return own?.kind === "instance" ? own.before : ledger.instances.get(id);
  };

  return {
    id: "S15",
    says: "an instance has failed only by its own word about what it was told, or in flight and past its own deadline",
    committed(commit) {
      for (const event of commit.events)
        if (event.type === "instance.failed") checkFailed(commit, event, beforeOf(commit, event.id));
      for (const change of commit.changes)
        if (change.kind === "desired.instance" && change.after !== undefined)
          told.set(change.id, { atMs: commit.atMs, deadlineMs: change.after.deadlineMs });
    },
  };
};
