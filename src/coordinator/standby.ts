import type { AnswerSource } from "../contracts/answer-source.js";
import { durationText } from "../contracts/duration.js";
import { FleetCopy, type FleetCopyParts } from "./fleet-copy.js";
import { type AuditPages, createReads, type Reads } from "./reads.js";

/** A copy that was in step so lately is not behind: the ledger says each second that it has nothing more. */
const inStepWithinMs = 2_500;

/** What a coordinator is while it does not lead: somebody with a copy of the fleet, who answers reads from it. */
export class Standby {
  readonly #name: string;
  readonly #audit: AuditPages;
  readonly #parts: FleetCopyParts;
  #copy: FleetCopy | undefined;
  #reads: Reads | undefined;

  constructor(name: string, audit: AuditPages, parts: FleetCopyParts) {
    this.#audit = audit;
    this.#name = name;
    this.#parts = parts;
  }

  start(): void {
    if (this.#copy !== undefined) return;
    this.#copy = new FleetCopy(this.#parts);
    this.#reads = createReads(this.#copy, this.#audit);
    this.#copy.start();
  }

  stop(): void {
    this.#copy?.stop();
    this.#copy = undefined;
    this.#reads = undefined;
  }

  get copy(): FleetCopy | undefined {
    return this.#copy;
  }

  /** Once there is something to answer from. */
  get reads(): Reads | undefined {
    return this.#copy?.place === undefined ? undefined : this.#reads;
  }

  /** Where its answers come from now; `undefined` while it has none. */
  source(): AnswerSource | undefined {
    const copy = this.#copy;
    const place = copy?.place;
    if (copy === undefined || place === undefined) return undefined;
    const { revision } = place;
    return { ...place, copy: { of: this.#name, ageMs: copy.ageMs(), revision, leader: copy.leader() } };
  }

  /** Whether it knows the fleet as well as the leader does. */
  get isFresh(): boolean {
    const copy = this.#copy;
    return copy?.isWhole === true && copy.ageMs() < inStepWithinMs;
  }

  /** How it is doing, for people. */
  get doing(): string {
    const copy = this.#copy;
    if (copy === undefined) return "begins";
    if (copy.problem !== undefined) return copy.problem;
    if (copy.place === undefined) return "reads the ledger";
    const ageMs = copy.ageMs();
    if (ageMs >= inStepWithinMs) return `${durationText(ageMs)} behind`;
    const unheard = copy.unheard();
    return unheard === 0
      ? "caught up"
      : `listens: ${unheard} ${unheard === 1 ? "instance has" : "instances have"} not said yet how they are`;
  }
}
