import { sameVersion, type VersionPair, versionText } from "../../contracts/version.js";
import {
  claimedSchema,
  createdSchema,
  dataOf,
  endingSchema,
  failedSchema,
  instanceToldSchema,
  releasedSchema,
} from "./event-data.js";
import { type RecordedEvent, stepOf } from "./recorded-event.js";

/** One thing that was decided about a deployment or an instance of it. */
export interface Decision {
  /** `deployment/d7`, `instance/web-3` */
  readonly object: string;
  /** Which decision about the object it is; the same on both sides of a comparison. */
  readonly key: string;
  /** What of it has to be equal. */
  readonly detail: string;
  readonly atMs: number;
  /** What people read. */
  readonly sentence: string;
}

/** What an instance comes to is one decision, whichever it is. */
const results: ReadonlySet<string> = new Set(["instance.succeeded", "instance.failed"]);

/** A deployment and the rollback that followed, by their names in a log, and what they are called in the comparison. */
export type Names = ReadonlyMap<string, string>;

/** What of a decision has to be the same; what is not here follows from others, or from how the steps fell. */
const detailOf: Readonly<Record<string, (event: RecordedEvent) => string>> = {
  "deployment.created": (event) => {
    const { batch, failureThreshold, matched } = dataOf(createdSchema, event);
    return `batch ${batch}, failure threshold ${failureThreshold}, ${matched} matched`;
  },
  "deployment.started": () => "",
  "deployment.paused": () => "",
  "deployment.resumed": () => "",
  "deployment.held": () => "",
  "deployment.released": () => "",
  "deployment.forced": () => "",
  "deployment.unforced": () => "",
  "deployment.stuck": () => "",
  "deployment.moving": () => "",
  "deployment.aborted": () => "",
  "deployment.rollback": () => "",
  "deployment.completing": () => "",
  "deployment.reverting": endingOf,
  "deployment.finished": endingOf,
  "instance.claimed": (event) => {
    const { target, state } = dataOf(claimedSchema, event);
    return `${versionText(target)}, ${state}`;
  },
  "instance.told": (event) => versionText(dataOf(instanceToldSchema, event).target),
  "instance.succeeded": () => "",
  "instance.failed": (event) => dataOf(failedSchema, event).reason.code,
  "instance.released": () => "",
  "instance.reset": () => "",
  "instance.left": () => "",
  "instance.moved": () => "",
};

function endingOf(event: RecordedEvent): string {
  const { outcome, reason } = dataOf(endingSchema, event);
  return `${outcome}, ${typeof reason === "object" ? (reason?.code ?? "") : reason}`;
}

/**
 * What was decided about deployments, and about their instances while they had them.
 *
 * @param events those of a log, in its order
 */
export function decisionsOf(events: readonly RecordedEvent[], names: Names): readonly Decision[] {
  const decisions: Decision[] = [];
  const owned = new Owned();
  const counts = new Map<string, number>();
  for (const event of events) {
    const owner = owned.ownerOf(event);
    const name = owner === undefined ? undefined : names.get(owner);
    if (owner === undefined || name === undefined) continue;
    const more = owned.follow(event, owner);
    const detail = detailOf[event.type]?.(event);
    if (detail === undefined) continue;
    const isInstance = event.type.startsWith("instance.");
    const object = isInstance ? `instance/${event.id}` : `deployment/${name}`;
    const kind = `${name} ${object} ${results.has(event.type) ? "result" : event.type}`;
    const nth = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, nth);
    const { atMs, sentence } = event;
    decisions.push({ object, key: `${kind} ${nth}`, detail: `${detail}${more}`, atMs, sentence });
  }
  return decisions;
}

/** Whose the instances are, event by event. */
class Owned {
  /** What the deployment that has an instance wants of it. */
  readonly #claims = new Map<string, { readonly owner: string; readonly target: VersionPair | null }>();
  /** How deployments end. */
  readonly #ending = new Map<string, "completing" | "reverting">();

  /** The deployment that an event is about, or that has the instance. */
  ownerOf(event: RecordedEvent): string | undefined {
    const { type, id } = event;
    if (type.startsWith("deployment.")) return id;
    if (!type.startsWith("instance.")) return undefined;
    if (type === "instance.claimed") return dataOf(claimedSchema, event).deployment;
    if (type === "instance.released") return dataOf(releasedSchema, event).deployment ?? undefined;
    if (type === "instance.told") return stepOf(event);
    return this.#claims.get(id)?.owner;
  }

  /** @returns what the end of a claim comes to: nothing, unless the deployment is done */
  follow(event: RecordedEvent, owner: string): string {
    const { type, id } = event;
    if (type === "deployment.reverting") this.#ending.set(owner, "reverting");
    if (type === "deployment.completing") this.#ending.set(owner, "completing");
    if (type === "instance.claimed")
      this.#claims.set(id, { owner, target: dataOf(claimedSchema, event).target });
    const ending = this.#ending.get(owner);
    const isSentBack = type === "instance.told" && ending === "reverting";
    const claim = this.#claims.get(id);
    if (isSentBack || type === "instance.released" || type === "instance.left") this.#claims.delete(id);
    if (type !== "instance.released" || claim === undefined || ending !== "completing") return "";
    const { stable, owed } = dataOf(releasedSchema, event);
    if (owed != null) return "owed";
    return sameVersion(stable, claim.target) ? "stable" : "";
  }
}
