import type { LedgerBatch } from "../base/ports.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import { parseKey } from "../contracts/keys.js";

/** What an instance did, as the ledger has it. */
export type Step = "told" | "succeeded" | "failed";

/** One line of a run's course; times are from the creation of the deployment. */
export interface Moment {
  readonly atMs: number;
  readonly instance: string;
  readonly step: Step;
  /** It is on its way back. */
  readonly back: boolean;
}

/** Follows a roll-out by what its coordinator writes, from the moment at which it is made. */
export class Recorder {
  readonly #now: () => number;
  readonly #course: Moment[] | undefined;
  readonly #inFlight = new Set<string>();
  readonly #down = new Set<string>();
  readonly #ran = new Set<string>();
  readonly #touched = new Set<string>();
  readonly #everFailed = new Set<string>();
  #startedAtMs = 0;
  #watching = false;
  #outMax = 0;
  #heldSinceMs: number | undefined;
  #wasHeld = false;
  #forward: DeploymentRecord | undefined;
  #rollback: DeploymentRecord | undefined;

  /** @param keepsCourse every step is kept, for a picture of the run */
  constructor(now: () => number, keepsCourse: boolean) {
    this.#now = now;
    this.#course = keepsCourse ? [] : undefined;
  }

  /** What is written from now on belongs to the rehearsal. */
  begin(): void {
    this.#watching = true;
    this.#startedAtMs = this.#now();
  }

  get forward(): DeploymentRecord | undefined {
    return this.#forward;
  }

  get rollback(): DeploymentRecord | undefined {
    return this.#rollback;
  }

  get isOver(): boolean {
    const forward = this.#forward;
    if (forward === undefined || forward.outcome === null) return false;
    return this.#rollback === undefined || this.#rollback.outcome !== null;
  }

  /** Since when it has been held without a break; `undefined` while it is not. */
  get heldSinceMs(): number | undefined {
    return this.#heldSinceMs;
  }

  get figures() {
    return {
      elapsedMs: this.#now() - this.#startedAtMs,
      ran: this.#ran.size,
      touched: this.#touched.size,
      failed: this.#everFailed.size,
      outMax: this.#outMax,
      wasHeld: this.#wasHeld,
    };
  }

  get course(): readonly Moment[] {
    return this.#course ?? [];
  }

  ran(instance: string): void {
    if (this.#watching) this.#ran.add(instance);
  }

  see({ events, puts }: LedgerBatch): void {
    if (!this.#watching) return;
    for (const { key, value } of puts)
      if (parseKey(key)?.[0] === "deployment") this.#seeDeployment(value as DeploymentRecord);
    for (const { kind, id, type } of events)
      if (kind === "instance") this.#seeInstance(id, type.slice("instance.".length));
    this.#outMax = Math.max(this.#outMax, this.#inFlight.size + this.#down.size);
  }

  #seeDeployment(record: DeploymentRecord): void {
    if (record.rollbackOf === null) this.#forward = record;
    else this.#rollback = record;
    const isHeld = this.#forward?.held !== null || (this.#rollback?.held ?? null) !== null;
    if (!isHeld) this.#heldSinceMs = undefined;
    else {
      this.#heldSinceMs ??= this.#now();
      this.#wasHeld = true;
    }
  }

  #seeInstance(instance: string, step: string): void {
    if (step === "told") {
      this.#touched.add(instance);
      this.#inFlight.add(instance);
      this.#down.delete(instance);
    } else if (step === "succeeded") {
      this.#inFlight.delete(instance);
      this.#down.delete(instance);
    } else if (step === "failed") {
      this.#everFailed.add(instance);
      this.#inFlight.delete(instance);
      this.#down.add(instance);
    } else return;
    this.#course?.push({
      atMs: this.#now() - this.#startedAtMs,
      instance,
      step,
      back: this.#rollback !== undefined,
    });
  }
}
