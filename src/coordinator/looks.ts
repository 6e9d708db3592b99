import type { Observed } from "../../machines/deployment-plan.js";
import type { Silence } from "../../machines/liveness.js";
import type { Timer } from "../base/ports.js";
import { rolloutRule } from "./deployment-events.js";
import type { DeploymentActor } from "./roll-out.js";
import type { Term } from "./term.js";

export interface LooksParts {
  /** Its actor, while a deployment is not over. */
  readonly actor: (deployment: string) => DeploymentActor | undefined;
  readonly silence: () => Silence;
  /** Ledger time from which this leader judges. */
  readonly judgeFromMs: () => number;
}

/** Shows deployments how far they are with their instances: noted as often as something changes, shown once, in a later turn. */
export class Looks {
  readonly #term: Term;
  readonly #parts: LooksParts;
  /** True: also one that could not go on by what it sees. */
  #due = new Map<string, boolean>();
  #timer: Timer | undefined;

  constructor(term: Term, parts: LooksParts) {
    this.#term = term;
    this.#parts = parts;
  }

  /** The deployment is shown the new numbers. */
  touch(id: string): void {
    this.#add(id, true);
  }

  /** Something of its instances changed: who waits for the ledger is shown that once it has all of it. */
  noteChange(id: string): void {
    this.#add(id, false);
  }

  /** The ledger has all that its instances wrote. */
  noteWritten(id: string): void {
    if (this.#parts.actor(id)?.snapshot().hasTag("awaitsLedger")) this.touch(id);
  }

  /** One of its instances took a step: the next look takes it in, and who is stuck does not wait for that. */
  noteMoved(id: string): void {
    const actor = this.#parts.actor(id);
    if (actor !== undefined && actor.snapshot().context.record.stuckAtMs !== null) this.touch(id);
  }

  /** Shows it the numbers now. */
  show(id: string): void {
    const actor = this.#parts.actor(id);
    const observed = this.observed(id);
    if (actor === undefined || observed === undefined) return;
    if (actor.snapshot().context.record.stage === "finished") return;
    const { index, ownOrigin } = this.#term;
    actor.send({
      type: "observe",
      observed,
      ...this.#movement(id),
      nowMs: this.#term.nowMs(),
      judgeFromMs: this.#parts.judgeFromMs(),
      origin: { actor: `rule:${rolloutRule}`, cause: index.causeOf(id) ?? ownOrigin.cause },
    });
  }

  /** How far a deployment that is not over is with its instances now. */
  observed(id: string): Observed | undefined {
    const record = this.#parts.actor(id)?.snapshot().context.record;
    return record && this.#term.index.observe(id, record.batch, this.#parts.silence());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #add(id: string, inAnyCase: boolean): void {
    this.#due.set(id, inAnyCase || this.#due.get(id) === true);
    this.#timer ??= this.#term.clock.setTimer(0, () => this.#showDue());
  }

  #showDue(): void {
    const due = this.#due;
    this.#due = new Map();
    this.#timer = undefined;
    for (const [id, inAnyCase] of due) if (inAnyCase || !this.#isPremature(id)) this.show(id);
  }

  /** It waits for the ledger, which does not have everything yet: another look follows when it has. */
  #isPremature(id: string): boolean {
    const waits = this.#parts.actor(id)?.snapshot().hasTag("awaitsLedger") === true;
    return waits && this.#term.index.isUnwritten(id);
  }

  #movement(id: string) {
    const movedAgoMs = this.#term.index.takeMovedAgoMs(id, this.#term.clock.monotonicMs());
    return movedAgoMs === null ? { moved: false } : { moved: true, movedAgoMs };
  }
}
