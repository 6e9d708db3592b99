import type { RecordedCase } from "./case-book.js";
import { dataOf, endingSchema, stepSchema } from "./event-data.js";
import { type RecordedEvent, stepOf } from "./recorded-event.js";
import { UnusableLog } from "./unusable-log.js";

/**
 * Whether the log holds all that a deployment was decided by. What the events say of each other shows it, also in a log that leaves
 * out what has nothing to do with the deployment.
 *
 * @throws UnusableLog with the line of the event that says of others that are not there
 */
export function assertWhole(recorded: RecordedCase): void {
  assertClaims(recorded);
  if (recorded.endedAtMs === null) return;
  assertSteps(recorded);
  assertResults(recorded);
}

const howTo =
  "The events of the instances are needed too: rollcall events --since TIME --json, or the audit file, whole";

function assertClaims({ id, created, events }: RecordedCase): void {
  const started = events.find((event) => event.type === "deployment.started" && event.id === id);
  if (started === undefined) return;
  const claimed = new Set<string>();
  for (const event of events) {
    if (event === started) break;
    if (event.type === "instance.claimed") claimed.add(event.id);
    if (event.type === "instance.left") claimed.add(event.id);
  }
  if (claimed.size < created.matched)
    throw new UnusableLog(
      started.line,
      `${id} owns ${created.matched} instances, and the file says of ${claimed.size} that it takes them. ${howTo}`,
    );
}

/** Between two leaders a step may have been taken in part; who left meanwhile was told nothing. */
function assertSteps({ events, takeovers }: RecordedCase): void {
  if (takeovers.length > 0 || events.some(({ type }) => type === "instance.left")) return;
  const told = new Map<string, number>();
  for (const event of events)
    if (event.type === "instance.told") told.set(event.cause, (told.get(event.cause) ?? 0) + 1);
  for (const event of events) {
    if (event.type !== "deployment.told") continue;
    const { step, instances } = dataOf(stepSchema, event);
    const found = told.get(`deployment:${event.id}/${step}`) ?? 0;
    if (found < instances)
      throw new UnusableLog(
        event.line,
        `${event.id} tells ${instances} of its instances, and the file names ${found} of them. ${howTo}`,
      );
  }
}

function assertResults({ id, events }: RecordedCase): void {
  const end = events.find((event) => event.type === "deployment.finished" && event.id === id);
  if (end === undefined || dataOf(endingSchema, end).outcome !== "completed") return;
  const without = new Set<string>();
  for (const event of events) {
    if (event.type === "instance.told" && stepOf(event) === id) without.add(event.id);
    else if (isResult(event)) without.delete(event.id);
  }
  const [example] = without;
  if (example !== undefined)
    throw new UnusableLog(
      end.line,
      `${id} has completed, and the file does not say what became of ${example}. ${howTo}`,
    );
}

function isResult({ type }: RecordedEvent): boolean {
  return type === "instance.succeeded" || type === "instance.failed" || type === "instance.left";
}
