import {
  type Created,
  claimedSchema,
  createdSchema,
  dataOf,
  releasedSchema,
  rollbackSchema,
} from "./event-data.js";
import { type RecordedEvent, stepOf } from "./recorded-event.js";
import { UnusableLog } from "./unusable-log.js";

/** A change of leader while a deployment was under way: what lies between the two moments was nobody's to decide. */
export interface Takeover {
  /** The last event of the leader before. */
  readonly fromMs: number;
  /** The first of the new one. */
  readonly atMs: number;
}

/** A deployment that begins in the log, with the rollback that its end began: what is replayed as one. */
export interface RecordedCase {
  readonly id: string;
  readonly created: Created;
  readonly createdAtMs: number;
  /** Since when the leader that made it led; `null` if the log does not say. */
  readonly ledSinceMs: number | null;
  /** The rollback that it handed its instances to. */
  rollback: string | null;
  /** About the two, and about their instances while they had them; in the order of the log. */
  readonly events: RecordedEvent[];
  readonly takeovers: Takeover[];
  /** When both were over; `null` if the log ends before. */
  endedAtMs: number | null;
  /** The log leaves events out while it was under way. */
  hasGaps: boolean;
}

/** Events that are kept in memory: some hundred roll-outs of thousands of instances. */
const keptMax = 500_000;

/** Sorts the events of a fleet's log by the deployment that they belong to. */
export class CaseBook {
  readonly #cases: RecordedCase[] = [];
  /** Of the ledger that is being read, by deployment; a rollback has the case of what it undoes. */
  #byDeployment = new Map<string, RecordedCase>();
  /** The deployment that has an instance. */
  #owners = new Map<string, string>();
  /** Deployments that tell their instances to go back, and let them go by it. */
  #reverting = new Set<string>();
  #open = new Set<RecordedCase>();
  /** By deployment, why it is not played. */
  readonly #unplayed = new Map<string, string>();
  #last: RecordedEvent | undefined;
  #ledSinceMs: number | null = null;
  #kept = 0;

  /** In the order of the log. @throws UnusableLog */
  take(event: RecordedEvent): void {
    this.#follow(event);
    if (event.type.startsWith("deployment.")) this.#takeDeployment(event);
    else if (event.type.startsWith("instance.")) this.#takeInstance(event);
  }

  /** In the order of their creation. */
  get cases(): readonly RecordedCase[] {
    return this.#cases;
  }

  /** Deployments of which the log says too little, with the reason. */
  get unplayed(): ReadonlyMap<string, string> {
    return this.#unplayed;
  }

  get lastAtMs(): number {
    return this.#last?.atMs ?? 0;
  }

  /** What an event says of the log as such: another ledger, another leader, events that were left out. */
  #follow(event: RecordedEvent): void {
    const before = this.#last;
    this.#last = event;
    if (event.type === "coordinator.leading") this.#ledSinceMs = event.atMs;
    if (before === undefined) return;
    if (before.ledger !== event.ledger) {
      this.#byDeployment = new Map();
      this.#owners = new Map();
      this.#open = new Set();
      this.#reverting = new Set();
      return;
    }
    const isLedAnew = event.epoch !== before.epoch;
    const isGap = event.sequence !== before.sequence + 1;
    if (isLedAnew) this.#ledSinceMs = event.atMs;
    if (!isLedAnew && !isGap) return;
    for (const one of this.#open) {
      if (isLedAnew) one.takeovers.push({ fromMs: before.atMs, atMs: event.atMs });
      if (isGap) one.hasGaps = true;
    }
  }

  #takeDeployment(event: RecordedEvent): void {
    const { id, type } = event;
    if (type === "deployment.created" && !this.#byDeployment.has(id)) this.#begin(event);
    if (type === "deployment.rollback") this.#goBack(event);
    const one = this.#byDeployment.get(id);
    if (one === undefined) {
      const isOld = type === "deployment.forgotten" || this.#unplayed.has(id);
      if (!isOld) this.#unplayed.set(id, "its beginning is not in the file");
      return;
    }
    this.#keep(one, event);
    if (type === "deployment.reverting") this.#reverting.add(id);
    // One that hands its instances to a rollback is open again by the next event.
    if (type !== "deployment.finished" || (one.rollback ?? id) !== id) return;
    one.endedAtMs = event.atMs;
    this.#open.delete(one);
  }

  #goBack(event: RecordedEvent): void {
    const undone = this.#byDeployment.get(dataOf(rollbackSchema, event).rollbackOf);
    if (undone === undefined) return;
    undone.rollback = event.id;
    undone.endedAtMs = null;
    this.#open.add(undone);
    this.#byDeployment.set(event.id, undone);
  }

  #begin(event: RecordedEvent): void {
    if (this.#unplayed.has(event.id)) return;
    if (event.actor === "") {
      this.#unplayed.set(event.id, "its events are of the first format, which does not say what led to them");
      return;
    }
    const created = dataOf(createdSchema, event);
    const one: RecordedCase = {
      id: event.id,
      created,
      createdAtMs: event.atMs,
      ledSinceMs: this.#ledSinceMs,
      rollback: null,
      events: [],
      takeovers: [],
      endedAtMs: null,
      hasGaps: false,
    };
    this.#cases.push(one);
    this.#byDeployment.set(event.id, one);
    this.#open.add(one);
  }

  #takeInstance(event: RecordedEvent): void {
    const { id, type } = event;
    const owner = this.#owners.get(id);
    switch (type) {
      case "instance.claimed": {
        const { deployment } = dataOf(claimedSchema, event);
        this.#owners.set(id, deployment);
        this.#keepFor(deployment, event);
        return;
      }
      case "instance.told": {
        const by = stepOf(event);
        if (by === undefined) return;
        this.#keepFor(by, event);
        if (this.#reverting.has(by)) this.#owners.delete(id);
        return;
      }
      case "instance.released": {
        const by = dataOf(releasedSchema, event).deployment;
        if (by !== null) this.#keepFor(by, event);
        this.#owners.delete(id);
        return;
      }
      case "instance.succeeded":
      case "instance.failed":
      case "instance.reset":
      case "instance.moved":
      case "instance.left":
        if (owner !== undefined) this.#keepFor(owner, event);
        if (type === "instance.left") this.#owners.delete(id);
    }
  }

  #keepFor(deployment: string, event: RecordedEvent): void {
    const one = this.#byDeployment.get(deployment);
    if (one !== undefined) this.#keep(one, event);
  }

  #keep(one: RecordedCase, event: RecordedEvent): void {
    if (++this.#kept > keptMax)
      throw new UnusableLog(
        event.line,
        `more than ${keptMax} events of deployments are too many at once; give a part of the log`,
      );
    one.events.push(event);
  }
}
