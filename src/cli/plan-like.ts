import { eventsPageMax } from "../contracts/api.js";
import type { EventView } from "../contracts/views.js";
import { measuredOf } from "../simulator/measured.js";
import type { RehearsalPlan } from "../simulator/plan.js";
import type { Session } from "./session.js";
import { usageError } from "./usage-error.js";

/** Events that are read to find those of one deployment: what is older has gone from most ledgers anyway. */
const eventsMax = 200_000;

/**
 * What a plan takes from a deployment that is over: its numbers, and how its updates went.
 * @throws RollcallError `UNKNOWN_DEPLOYMENT`, and as wrong usage if the audit log says nothing of its updates
 */
export async function planLike(
  { client }: Session,
  id: string,
): Promise<Partial<Pick<RehearsalPlan, "fleet" | "strategy" | "behaviour">>> {
  const { deployment } = await client.deployments.get({ deployment: id });
  const { spec, matched, created } = deployment;
  const events: EventView[] = [];
  let before: number | null = null;
  do {
    const page = await client.events.list({ kind: "instance", before, limit: eventsPageMax });
    events.push(...page.items);
    const oldest = page.items[0];
    before = oldest !== undefined && Date.parse(oldest.time) < created.atMs ? null : page.before;
  } while (before !== null && events.length < eventsMax);
  const { samplesMs, told, failures } = measuredOf(events, {
    deployment: id,
    minHealthyMs: spec.minHealthyMs,
  });
  if (samplesMs.length === 0)
    throw usageError(`The audit log holds no update of ${id} that succeeded: there is nothing to go by.`);
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const { batch, failureThreshold, minHealthyMs, deadlineMs, progressDeadlineMs, rollback } = spec;
  return {
    fleet: [{ instances: matched, labels: {} }],
    strategy: {
      batch,
      failureThreshold,
      selector: null,
      minHealthyMs,
      deadlineMs,
      progressDeadlineMs,
      rollback,
    },
    behaviour: {
      updateTime: { samplesMs: [...samplesMs] },
      failureRate: failed / told,
      failures: failed === 0 ? { build: 0, unhealthy: 1, flaps: 0, hangs: 0 } : failures,
      flapsAfter: "exponential(60s)",
      silenceRate: 0,
    },
  };
}
