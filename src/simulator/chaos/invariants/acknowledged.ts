import { type MakeInvariant, Violation, type Witness } from "../invariant.js";
import type { Commit, StoredEvent } from "../ledger-mirror.js";
import type { Asked } from "../people.js";

/** Something that was asked of one object. */
interface Request {
  readonly deployment?: string;
  readonly instance?: string;
  readonly version?: string;
  readonly release?: { readonly version: string };
  readonly requestKey?: string;
  readonly by: string;
}

/** The endpoint that an event of a person comes of. */
const endpointOf: Readonly<Record<string, Asked["endpoint"]>> = {
  "deployment.paused": "deployments.pause",
  "deployment.resumed": "deployments.resume",
  "deployment.forced": "deployments.resume",
  "instance.reset": "instances.reset",
  "app-instance.left": "apps.forget",
  "release.pushed": "releases.push",
  "release.removed": "releases.remove",
};

/** S6. */
export const acknowledged: MakeInvariant = (witness) => {
  const { ledger } = witness;
  const visible = new Visible();
  /** Deployments whose creation was acknowledged, by the key of the request. */
  const promised = new Map<string, string>();

  const checkDeployment = (key: string, id: string) => {
    const record = ledger.deployments.get(id);
    if (record?.requestKey !== key)
      throw new Violation(`${id} was acknowledged for request ${key}, and is not in the ledger as that`);
  };

  return {
    id: "S6",
    says: "what people were told is done is in the ledger from then on, and nothing is there that nobody asked for",
    committed(commit) {
      visible.take(commit);
      for (const event of commit.events) checkAttempted(witness, event);
    },
    answered({ endpoint, request, answer, atMs }) {
      if (answer === undefined || !("reply" in answer)) return;
      const { deployment = "", instance = "", version, release, requestKey, by } = request as Request;
      const { reply } = answer as { readonly reply: { readonly id: string } };
      const lost = (what: string) =>
        new Violation(`${endpoint} of ${what} was acknowledged, and is not in the ledger`);
      if (by === "mallory" && endpoint !== "releases.remove")
        throw new Violation(`${endpoint} was granted, which cannot be: ${JSON.stringify(request)}`);
      switch (endpoint) {
        case "deployments.create":
        case "deployments.retry":
          if (requestKey === undefined) return;
          checkDeployment(requestKey, reply.id);
          promised.set(requestKey, reply.id);
          break;
        case "deployments.rollback":
          if (ledger.deployments.get(reply.id)?.rollbackOf !== deployment) throw lost(deployment);
          break;
        case "deployments.pause":
          if (!visible.wasPaused(deployment, true, atMs)) throw lost(deployment);
          break;
        case "deployments.resume":
          if (!visible.wasPaused(deployment, false, atMs)) throw lost(deployment);
          break;
        case "deployments.abort":
          if (ledger.deployments.get(deployment)?.outcome !== "aborted") throw lost(deployment);
          break;
        case "instances.reset":
          if (!visible.since(`instance.reset ${instance}`, atMs) && isFailed(witness, instance))
            throw lost(instance);
          break;
        case "instances.remove":
          if (!visible.since(`instance.left ${instance}`, atMs) && ledger.instances.has(instance))
            throw lost(instance);
          break;
        case "releases.push":
          if (!visible.has(`release.${release?.version}`)) throw lost(release?.version ?? "");
          break;
        case "releases.remove":
          if (visible.has(`release.${version}`)) throw lost(version ?? "");
          break;
      }
    },
    atRest() {
      for (const [key, id] of promised) checkDeployment(key, id);
      const keys = [...ledger.deployments.values()].flatMap(({ requestKey }) => requestKey ?? []);
      if (new Set(keys).size !== keys.length) throw new Violation("one request has made two deployments");
    },
  };
};

/** An event that says that a person asked for it has a request of that person about that very object. */
function checkAttempted(
  { asked }: Witness,
  { kind, id, type, audit: { actor = "", cause } }: StoredEvent,
): void {
  if (!actor.startsWith("user:") || actor.startsWith("user:agent ")) return;
  // A process with apps that leaves asks for itself.
  if (actor === `user:instance ${id}` && type === "app-instance.left") return;
  const key = cause?.slice("request:".length);
  const wanted = type === "deployment.created" ? "deployments.rollback" : endpointOf[type];
  const isAttempted = asked.some(({ endpoint, request }) => {
    const { deployment, instance, version, release, requestKey, by } = request as Request;
    if (`user:${by}` !== actor) return false;
    if (requestKey !== undefined && requestKey === key) return true;
    if (wanted === undefined) return requestKey === undefined;
    // A rollback has an id of its own.
    const about =
      type === "deployment.created"
        ? id
        : { deployment, instance, "app-instance": instance, release: version ?? release?.version }[kind];
    return endpoint === wanted && about === id;
  });
  if (!isAttempted) throw new Violation(`${type} of ${id} is by ${actor}, who never asked for it (${cause})`);
}

function isFailed({ ledger }: Witness, instance: string): boolean {
  const { claim = null, owed = null, last = null } = ledger.instances.get(instance) ?? {};
  if (claim !== null) return claim.state === "failed";
  // What it had failed on before it was owed something else is over.
  return last?.result === "failed" && (owed === null || owed.deployment === last.deployment);
}

/** What of people's requests can be seen in the ledger. */
class Visible {
  /** When an event was stored last, by its type and object. */
  readonly #events = new Map<string, number>();
  readonly #keys = new Set<string>();
  /** By deployment: since when it is paused, or is not. */
  readonly #pauses = new Map<string, { readonly isPaused: boolean; readonly sinceMs: number }>();

  take({ atMs, events, changes, others }: Commit): void {
    for (const { type, id } of events) this.#events.set(`${type} ${id}`, atMs);
    for (const { key, value } of others)
      if (value === undefined) this.#keys.delete(key);
      else this.#keys.add(key);
    for (const { kind, id, after } of changes) {
      if (kind !== "deployment" || after === undefined) continue;
      const isPaused = after.paused !== null;
      if (this.#pauses.get(id)?.isPaused !== isPaused) this.#pauses.set(id, { isPaused, sinceMs: atMs });
    }
  }

  since(event: string, atMs: number): boolean {
    return (this.#events.get(event) ?? Number.NEGATIVE_INFINITY) >= atMs;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Whether it was paused (or was not) at some moment from then on. */
  wasPaused(deployment: string, isPaused: boolean, fromMs: number): boolean {
    const now = this.#pauses.get(deployment);
    return now !== undefined && (now.isPaused === isPaused || now.sinceMs >= fromMs);
  }
}
