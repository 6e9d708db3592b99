import type { EndpointName, RequestOf } from "../../contracts/api.js";
import type { RecordedCase } from "./case-book.js";
import { specOf } from "./earlier.js";
import { dataOf, movedSchema, spokenSchema } from "./event-data.js";
import { isAct } from "./inputs.js";
import { askedBy, isAskedFor, type RecordedEvent } from "./recorded-event.js";

/** Calls an endpoint. */
export type Ask = <E extends EndpointName>(name: E, request: RequestOf<E>) => void;

/** What somebody asked for, to be asked for again. */
export interface Act {
  readonly atMs: number;
  /** By which the log knows it. */
  readonly event: RecordedEvent;
  /** @param deployment the one that it is about, by its name in the replay */
  perform(ask: Ask, deployment: string): void;
}

/** The request that the deployment came from. */
export function creationOf(recorded: RecordedCase): Act {
  const [event] = recorded.events as [RecordedEvent];
  const { rollbackOf, retryOf } = recorded.created;
  const by = askedBy(event);
  const { reason: _, onStuck = "fail", ...spec } = specOf(recorded);
  const perform = (ask: Ask): void => {
    if (retryOf !== null) ask("deployments.retry", { deployment: retryOf, by });
    else if (rollbackOf !== null) ask("deployments.rollback", { deployment: rollbackOf, by });
    else ask("deployments.create", { ...spec, onStuck, by });
  };
  return { atMs: event.atMs, event, perform };
}

/** What people asked for while it was under way. */
export function actsOf({ events }: RecordedCase, times: ReadonlyMap<RecordedEvent, number>): readonly Act[] {
  const acts: Act[] = [];
  const requests = new Set<string>();
  for (const event of events) {
    if (!isAct(event)) continue;
    // One request may end both a pause and a hold.
    const request = `${event.id} ${event.cause}`;
    const isResumed = event.type === "deployment.resumed" || event.type === "deployment.forced";
    if (isResumed && requests.has(request)) continue;
    requests.add(request);
    const force = isResumed && isForced(event, events);
    const perform = (ask: Ask, deployment: string) => performAct(event, { ask, deployment, force });
    acts.push({ atMs: times.get(event) ?? event.atMs, event, perform });
  }
  return acts;
}

/** The same request has ended a hold; or, where there was none to end, the end of the force is told later. */
function isForced(event: RecordedEvent, events: readonly RecordedEvent[]): boolean {
  const { id, cause, sequence } = event;
  const isSame = (other: RecordedEvent) => other.cause === cause;
  const ofIt = events.filter((other) => other.id === id && forces.test(other.type));
  if (ofIt.some((other) => other.type === "deployment.forced" && isSame(other))) return true;
  const next = ofIt.find((other) => other.sequence > sequence && !isSame(other));
  return next?.type === "deployment.unforced";
}

const forces = /^deployment\.(resumed|forced|unforced)$/;

function performAct(
  event: RecordedEvent,
  { ask, deployment, force }: { ask: Ask; deployment: string; force: boolean },
): void {
  const by = isAskedFor(event) ? askedBy(event) : "replay";
  const { reason: said } = dataOf(spokenSchema, event);
  const reason = typeof said === "string" ? said : null;
  const ofDeployment = { deployment, by, reason };
  const ofInstance = { instance: event.id, by };
  if (event.type === "deployment.paused") ask("deployments.pause", ofDeployment);
  else if (event.type === "deployment.aborted") ask("deployments.abort", ofDeployment);
  else if (event.type === "deployment.rollback") ask("deployments.rollback", ofDeployment);
  else if (event.type === "instance.reset") ask("instances.reset", ofInstance);
  else if (event.type === "instance.left") ask("instances.remove", ofInstance);
  else if (event.type === "instance.moved")
    ask("instances.takeover", { ...ofInstance, agent: dataOf(movedSchema, event).agent });
  else ask("deployments.resume", { ...ofDeployment, force });
}
