import { parseKey } from "../../../contracts/keys.js";
import { chainVerifier } from "../../../ledger/event-chain.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Change, Commit, StoredEvent } from "../ledger-mirror.js";

/** What is true of a deployment once. */
const once: ReadonlySet<string> = new Set([
  "deployment.created",
  "deployment.started",
  "deployment.finished",
]);
/** What has left or is forgotten is asked nothing any more. */
const withoutGeneration: ReadonlySet<string> = new Set([
  "instance.left",
  "instance.alerted",
  "deployment.forgotten",
]);
/** By which an agent may be told something. */
const telling: ReadonlySet<string> = new Set(["instance.told", "instance.moved"]);
const actorPattern = /^(user|agent|rule|coordinator):./;

/** S11. */
export const audit: MakeInvariant = () => {
  const problemOf = chainVerifier();
  const causes = new Causes();
  const said = new Set<string>();

  const checkEvent = (event: StoredEvent) => {
    const { kind, id, type, audit: stored } = event;
    const problem = problemOf(stored);
    if (problem !== undefined) throw new Violation(problem);
    if (kind !== "app" && type.endsWith(".changed"))
      throw new Violation(`a change of ${id} is not explained: ${type}`);
    if (once.has(type) && said.has(`${type} ${id}`)) throw new Violation(`${type} of ${id} is said twice`);
    if (once.has(type)) said.add(`${type} ${id}`);
    if (!actorPattern.test(stored.actor ?? ""))
      throw new Violation(`${type} of ${id} is by ${stored.actor ?? "nobody"}`);
    const hasGeneration = kind === "instance" || kind === "deployment";
    if (hasGeneration && stored.generation === undefined && !withoutGeneration.has(type))
      throw new Violation(`${type} of ${id} has no generation`);
    causes.note(event);
    if (!causes.exist(event)) throw new Violation(`${type} of ${id} has the cause ${stored.cause}`);
  };

  return {
    id: "S11",
    says: "every change has an event in its batch, with who and what led to it, in one unbroken chain",
    committed(commit) {
      const { events, changes, others } = commit;
      for (const event of events) checkEvent(event);
      checkHead(commit);
      if (commit.isOfRestore) return;
      for (const change of changes) if (change.kind !== "desired.instance") explained(change, events);
      for (const change of changes) if (change.kind === "desired.instance") told(change, events);
      for (const { key } of others) {
        const [kind, id] = parseKey(key) ?? [];
        if ((kind === "release" || kind === "config") && id !== undefined) explained({ kind, id }, events);
      }
    },
    reported({ instance, incarnation, seq }) {
      causes.noteReport(instance, incarnation, seq);
    },
    appReported({ instance, incarnation, seq }) {
      causes.noteReport(instance, incarnation, seq);
    },
  };
};

function explained({ kind, id }: { readonly kind: string; readonly id: string }, events: Commit["events"]) {
  if (!events.some((event) => event.kind === kind && event.id === id))
    throw new Violation(`${kind} ${id} is written without an event about it`);
}

function told({ id, after }: Change, events: Commit["events"]): void {
  const wanted = after?.generation;
  const tells = (event: StoredEvent) =>
    wanted === undefined
      ? event.type === "instance.left"
      : telling.has(event.type) && event.audit.generation === wanted;
  const isTold = events.some((event) =>
    event.kind === "instance"
      ? event.id === id && tells(event)
      : // A reconciliation removes what is asked of nobody in the fleet.
        wanted === undefined && event.type === "fleet.mended" && event.data.object === `instance/${id}`,
  );
  if (!isTold) throw new Violation(`what ${id} is asked is written without an event that tells it`);
}

/** The end of the chain that the ledger keeps is the batch's last event. */
function checkHead({ events, others, from }: Commit): void {
  const head = others.find(({ key }) => key === "event-head")?.value as
    | { readonly sequence: number; readonly hash: string }
    | undefined;
  const last = events.at(-1)?.audit;
  if (head?.hash !== last?.hash || head?.sequence !== last?.sequence)
    throw new Violation(
      `${from} has written events up to ${last?.sequence}, and ${head?.sequence} as their end`,
    );
}

/** What an event may name as its cause, because it has happened. */
class Causes {
  /** `deployment:d1`, and its steps with their epoch. */
  readonly #deployments = new Set<string>();
  /** By instance and incarnation, the newest report. */
  readonly #reports = new Map<string, number>();

  note({ kind, id, data, audit: { epoch } }: StoredEvent): void {
    if (kind !== "deployment") return;
    this.#deployments.add(`deployment:${id}`);
    if (data.step !== undefined) this.#deployments.add(`${epoch} deployment:${id}/${data.step}`);
  }

  noteReport(instance: string, incarnation: string, seq: number): void {
    const name = `${instance}/${incarnation}`;
    this.#reports.set(name, Math.max(this.#reports.get(name) ?? 0, seq));
  }

  exist({ audit: { cause = "", epoch } }: StoredEvent): boolean {
    if (/^request:./.test(cause) || /^clock:(deadline|silence|mismatch|tombstone)$/.test(cause)) return true;
    if (cause.startsWith("epoch:")) return cause === `epoch:${epoch}`;
    if (cause.startsWith("deployment:"))
      return this.#deployments.has(cause.includes("/") ? `${epoch} ${cause}` : cause);
    const [, name = "", seq = ""] = /^report:(.+)\/(\d+)$/.exec(cause) ?? [];
    return Number(seq) <= (this.#reports.get(name) ?? -1);
  }
}
