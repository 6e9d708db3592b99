import { isAskedFor, type RecordedEvent, stepOf } from "./recorded-event.js";

/** What came to the control plane from outside. Everything else in the log is what it made of that. */

/** An instance has come to something, by its own report; it may also have failed because its time was over. */
export function isReported({ type, actor }: RecordedEvent): boolean {
  return type === "instance.succeeded" || (type === "instance.failed" && actor !== "rule:deadline");
}

/** An instance that joined the fleet while a deployment for its labels was under way. */
export function isJoining(event: RecordedEvent): boolean {
  return event.type === "instance.claimed" && stepOf(event) === undefined;
}

const alwaysAskedFor: ReadonlySet<string> = new Set([
  "deployment.paused",
  "deployment.resumed",
  "deployment.forced",
  "deployment.aborted",
  "instance.reset",
  "instance.moved",
  "instance.left",
]);

/** Somebody asked for it; an instance that was not heard for a day leaves as if somebody had. */
export function isAct(event: RecordedEvent): boolean {
  return alwaysAskedFor.has(event.type) || (event.type === "deployment.rollback" && isAskedFor(event));
}

/**
 * When each input is given to the replay. What the log has in one batch has one time: inputs of which none was decided on before the next
 * come together, and one that came after a decision comes a millisecond later.
 */
export function inputTimes(events: readonly RecordedEvent[]): ReadonlyMap<RecordedEvent, number> {
  const times = new Map<RecordedEvent, number>();
  let lastMs = Number.NEGATIVE_INFINITY;
  let decidedSince = false;
  for (const event of events) {
    if (!isReported(event) && !isAct(event) && !isJoining(event)) {
      decidedSince = true;
      continue;
    }
    const atMs = Math.max(event.atMs, decidedSince ? lastMs + 1 : lastMs);
    times.set(event, atMs);
    lastMs = atMs;
    decidedSince = false;
  }
  return times;
}
