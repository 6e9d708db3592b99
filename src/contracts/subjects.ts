import { escapeToken, unescapeToken } from "./names.js";

/** Every subject of a fleet, built and parsed here and nowhere else. `*` may stand for any id when subscribing. */
export function subjectsOf(fleet: string) {
  const root = `rollcall.v1.${escapeToken(fleet)}`;
  const token = (name: string) => (name === "*" ? "*" : escapeToken(name));
  return {
    root,
    /** agent → coordinator: what an instance says of itself. */
    health: (instance: string) => `${root}.health.${token(instance)}`,
    /** instance → coordinator: what its apps have come to. */
    apps: (instance: string) => `${root}.apps.${token(instance)}`,
    /** coordinator → instance, request/reply about its apps; of its own, since an agent may answer `ask` for the same instance. */
    appsAsk: (instance: string, verb: string) => `${root}.apps-ask.${token(instance)}.${verb}`,
    /** ledger → agents: a key of the ledger below `desired`, republished. */
    desired: (key: string) => `${root}.${key}`,
    /** coordinator → agent, request/reply. */
    ask: (instance: string, verb: string) => `${root}.ask.${token(instance)}.${verb}`,
    /** anyone → control plane, request/reply. */
    api: (resource: string, verb: string) => `${root}.api.${resource}.${verb}`,
    /** anyone → every coordinator: a read that nobody answered soon; one of them may sleep, and hold what its queue group gave it. */
    apiOfAny: (resource: string, verb: string) => `${root}.api.${resource}.${verb}.any`,
    /** coordinator → leader: a request that reached a follower, passed on. */
    leader: (resource: string, verb: string) => `${root}.leader.${resource}.${verb}`,
    /** coordinator → coordinators: the name of one that ends in order. */
    coordinatorLeft: `${root}.coordinator.left`,
    /** ledger → all: audit events. */
    event: (kind: string, id: string) => `${root}.event.${token(kind)}.${token(id)}`,
    /** anyone → the host of an actor: its state. */
    actorState: (kind: string, id: string) => `${root}.actor.${token(kind)}.${token(id)}.state`,
    /** host of an actor → inspector, only while somebody watches. */
    actorInspect: (kind: string, id: string) => `${root}.actor.${token(kind)}.${token(id)}.inspect`,
  };
}

const areasOfInstances: ReadonlySet<string> = new Set(["health", "ask", "apps", "apps-ask"]);

/** The instance that a subject of a report or an ask names; `undefined` if the subject is another's. */
export function instanceOfSubject(subject: string): string | undefined {
  const [product, version, , area, instance] = subject.split(".");
  if (product !== "rollcall" || version !== "v1" || area === undefined || instance === undefined)
    return undefined;
  if (!areasOfInstances.has(area)) return undefined;
  return unescapeToken(instance);
}
