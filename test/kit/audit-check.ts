import type { LedgerBatch, LedgerEvent } from "../../src/base/ports.js";
import { type DesiredInstance, reportSchema } from "../../src/contracts/instance.js";
import { parseKey } from "../../src/contracts/keys.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { fleet } from "./coordinators-world.js";
import type { FleetWorld } from "./fleet.js";
import { onBatches } from "./on-batches.js";

/** Kinds of records whose changes are explained by events about the very object. */
const explainedKinds: ReadonlySet<string> = new Set(["deployment", "instance", "release", "config"]);
/** Events of an instance by which its agent may be told something. */
const telling: ReadonlySet<string> = new Set(["instance.told", "instance.moved"]);

/** What happens to a deployment once. */
const once: ReadonlySet<string> = new Set([
  "deployment.created",
  "deployment.started",
  "deployment.finished",
]);

/**
 * Hears every batch that the ledger of a world takes, made before its first coordinator, and every report: what is written has an event about it in the
 * same batch, nothing goes to an agent without one, what an event names as its cause exists, and nothing is said twice.
 */
export class AuditCheck {
  /** The types of all events. */
  readonly types = new Set<string>();
  readonly problems: string[] = [];
  /** Events of all batches that were taken. */
  events = 0;
  /** `deployment:d1/3` under its epoch, and `deployment:d1`. */
  readonly #steps = new Set<string>();
  readonly #said = new Set<string>();
  /** The newest generation that each instance was told. */
  readonly #generations = new Map<string, number>();
  /** `undefined`: whatever report is named is taken to exist. */
  readonly #reports: Set<string> | undefined;

  /** @param options `reports: false` where messages get lost: the report that an event names may not have come here */
  constructor(world: FleetWorld, options: { readonly reports: boolean } = { reports: true }) {
    onBatches(world, (batch, { epoch }) => this.#check(epoch, batch));
    if (!options.reports) return;
    const reports = new Set<string>();
    this.#reports = reports;
    world.hub.connect("auditor of reports").subscribe(subjectsOf(fleet).health("*"), ({ data }) => {
      const report = reportSchema.safeParse(jsonIn(data)).data;
      if (report !== undefined) reports.add(`report:${report.instance}/${report.incarnation}/${report.seq}`);
    });
  }

  #check(epoch: number, { events, puts, deletes }: LedgerBatch): void {
    for (const event of events) this.#checkEvent(epoch, event);
    for (const { key, value } of puts) this.#checkChange(key, events, value);
    for (const key of deletes) this.#checkChange(key, events, undefined);
  }

  #checkEvent(epoch: number, event: LedgerEvent): void {
    this.events++;
    const { kind, id, type, data, cause, actor } = event;
    this.types.add(type);
    if (once.has(type) && this.#said.has(`${type} ${id}`)) this.problems.push(`${type} of ${id} twice`);
    this.#said.add(`${type} ${id}`);
    if (type === "instance.left") this.#generations.delete(id);
    if (type === "instance.told") this.#checkGeneration(id, event.generation ?? 0);
    if (kind === "deployment") {
      this.#steps.add(`deployment:${id}`);
      if (data.step !== undefined) this.#steps.add(`${epoch} deployment:${id}/${data.step}`);
    }
    if (type.endsWith(".changed")) this.problems.push(`a change of ${id} was not noted by its machine`);
    if (!/^(user|agent|rule|coordinator):./.test(actor))
      this.problems.push(`${type} of ${id} is by ${actor}`);
    if (!this.#exists(epoch, cause)) this.problems.push(`${type} of ${id} has the cause ${cause}`);
    if ((kind === "instance" || kind === "deployment") && event.generation === undefined && !isLeaving(type))
      this.problems.push(`${type} of ${id} has no generation`);
  }

  #checkGeneration(id: string, generation: number): void {
    const before = this.#generations.get(id) ?? 0;
    if (generation <= before) this.problems.push(`${id} is told generation ${generation} after ${before}`);
    this.#generations.set(id, generation);
  }

  #exists(epoch: number, cause: string): boolean {
    if (/^request:./.test(cause) || /^clock:(deadline|silence)$/.test(cause)) return true;
    if (cause.startsWith("report:")) return this.#reports?.has(cause) ?? true;
    if (cause.startsWith("epoch:")) return cause === `epoch:${epoch}`;
    return this.#steps.has(cause.includes("/") ? `${epoch} ${cause}` : cause);
  }

  #checkChange(key: string, events: readonly LedgerEvent[], value: unknown): void {
    const [kind = "", id = ""] = parseKey(key) ?? [];
    const about = events.filter((event) => event.id === id && key !== "formats");
    if (explainedKinds.has(kind) && !about.some((event) => event.kind === kind))
      this.problems.push(`${key} was written without an event about it`);
    if (kind === "desired.instance" && !about.some((event) => explainsDesire(event, value)))
      this.problems.push(`${key} was written without an event by which its agent is told`);
  }
}

/** What has left or is forgotten is asked nothing any more. */
function isLeaving(type: string): boolean {
  return ["instance.left", "instance.alerted", "deployment.forgotten"].includes(type);
}

function explainsDesire({ type, generation }: LedgerEvent, value: unknown): boolean {
  if (value === undefined) return type === "instance.left";
  return telling.has(type) && generation === (value as DesiredInstance).generation;
}

function jsonIn(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
