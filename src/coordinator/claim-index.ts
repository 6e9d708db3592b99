import { type InFlight, isAwaited, type Observed, stepMax } from "../../machines/deployment-plan.js";
import type { Silence } from "../../machines/liveness.js";
import { wasTouched } from "../../machines/member-record.js";
import type { Claim } from "../contracts/deployment.js";
import { Line } from "./line.js";

/** What the index keeps of a member: all that a deployment's planner asks about. */
export interface Standing {
  readonly claim: Claim;
  readonly silent: boolean;
  /** It has reported to this leader. */
  readonly heard: boolean;
}

/** How far an instance in flight is, as it says. */
export interface Progress {
  /** What it does, as text; another one is a move. */
  readonly at: string;
  /** Since it last moved, be it to do more of the same. */
  readonly stillForMs: number;
  /** For how long it has been healthy, which has to come to something too. */
  readonly healthyForMs: number;
}

/**
 * How long ago it moved, if it did so between two of its reports: of one that stands still `stillForMs` only grows, and
 * `healthyForMs` does not.
 */
function movedAgoMs(before: Progress | undefined, now: Progress): number | null {
  // What it did before a change of leader it says itself.
  if (before === undefined) return now.stillForMs;
  const hasMoved =
    now.at !== before.at || now.stillForMs < before.stillForMs || now.healthyForMs > before.healthyForMs;
  return hasMoved ? 0 : null;
}

/** One deployment's members by what their claims have come to; kept up at each change, so that a look costs the same however many there are. */
class Tally {
  readonly members = new Map<string, Standing>();
  readonly waiting = new Line<string>();
  readonly urgent = new Line<string>();
  readonly flights = new Line<InFlight>();
  readonly failed = new Set<string>();
  inFlight = 0;
  notNeeded = 0;
  succeeded = 0;
  everFailed = 0;
  /** Waiting, and not heard of since this leader leads. */
  unheard = 0;
  unreachable = 0;
  returnable = 0;
  unwritten = 0;
  step = 0;
  /** Instances on which the newest step's command has not yet taken effect, and how to see that it has. */
  readonly awaited = new Set<string>();
  hasTakenEffect: (standing: Standing | undefined) => boolean = () => true;
  nextStep = 0;
  /** When something moved that no look has seen yet, in monotonic time; infinity: as of that look; `null` if nothing did. */
  movedAtMs: number | null = null;
  /** What last changed something of its instances. */
  cause: string | undefined;
  over = false;
  readonly progress = new Map<string, Progress>();

  count(instance: string, { claim, silent, heard }: Standing, by: 1 | -1): void {
    if (claim.hasFailed) this.everFailed += by;
    if (wasTouched(claim) && claim.before !== null) this.returnable += by;
    if (claim.state === "notNeeded") this.notNeeded += by;
    else if (claim.state === "succeeded") this.succeeded += by;
    else if (claim.state === "failed") keep(this.failed, instance, by);
    else if (claim.state === "told") this.#countTold(instance, { claim, silent }, by);
    else if (claim.urgent) queue(this.urgent, instance, by);
    else if (silent) this.unreachable += by;
    else if (!heard) this.unheard += by;
    else queue(this.waiting, instance, by);
  }

  #countTold(instance: string, { claim, silent }: Pick<Standing, "claim" | "silent">, by: 1 | -1): void {
    const toldAtMs = claim.toldAtMs ?? 0;
    this.inFlight += by;
    if (by === -1) this.flights.leave(instance);
    else if (isAwaited({ urgent: claim.urgent, silent }))
      this.flights.join(instance, { instance, toldAtMs }, toldAtMs);
  }
}

/** The first of those that have failed, with what it said. */
function failureIn({ failed, members }: Tally): Observed["failure"] {
  for (const instance of failed) {
    const reason = members.get(instance)?.claim.reason;
    if (reason) return { instance, reason };
  }
  return undefined;
}

const nobody: ReadonlyMap<string, Standing> = new Map();

function keep(set: Set<string>, instance: string, by: 1 | -1): void {
  if (by === 1) set.add(instance);
  else set.delete(instance);
}

function queue(line: Line<string>, instance: string, by: 1 | -1): void {
  if (by === 1) line.join(instance, instance);
  else line.leave(instance);
}

/** Who is told what changes of a deployment's instances. */
export interface ClaimListener {
  /** What is to be decided about. */
  onChange(deployment: string): void;
  /** An instance in flight took a step that no count shows: of interest to who judges whether any moves, at the next look. */
  onMoved(deployment: string): void;
  /** The ledger has all changes of its instances. */
  onWritten(deployment: string): void;
}

/** Who owns which instance, and how far each deployment is with its own. A view of the members, never a truth beside them. */
export class ClaimIndex {
  readonly #tallies = new Map<string, Tally>();
  readonly #owners = new Map<string, string>();
  readonly #listener: ClaimListener | undefined;

  constructor(listener?: ClaimListener) {
    this.#listener = listener;
  }

  #tally(deployment: string): Tally {
    let tally = this.#tallies.get(deployment);
    if (tally === undefined) {
      tally = new Tally();
      this.#tallies.set(deployment, tally);
    }
    return tally;
  }

  ownerOf(instance: string): string | undefined {
    return this.#owners.get(instance);
  }

  membersOf(deployment: string): ReadonlyMap<string, Standing> {
    return this.#tallies.get(deployment)?.members ?? nobody;
  }

  isInFlight(instance: string): boolean {
    const owner = this.#owners.get(instance);
    return owner !== undefined && this.#tally(owner).members.get(instance)?.claim.state === "told";
  }

  /** Instances that a deployment has in flight, those included that it told outside of its batch. */
  inFlightOf(deployment: string): number {
    return this.#tallies.get(deployment)?.inFlight ?? 0;
  }

  /** Instances that some deployment has in flight. */
  inFlightCount(): number {
    let count = 0;
    for (const tally of this.#tallies.values()) count += tally.inFlight;
    return count;
  }

  /** Takes in how a member stands now; `undefined` when nothing owns it or it has left. `cause` is what changed it. */
  update(instance: string, standing: Standing | undefined, cause?: string): void {
    const owner = this.#owners.get(instance);
    const before = owner === undefined ? undefined : this.#tally(owner).members.get(instance);
    if (
      before?.claim === standing?.claim &&
      before?.silent === standing?.silent &&
      before?.heard === standing?.heard
    )
      return;
    if (owner !== undefined && before !== undefined) {
      const tally = this.#tally(owner);
      tally.cause = cause ?? tally.cause;
      tally.count(instance, before, -1);
      if (before.claim.state !== standing?.claim.state) tally.progress.delete(instance);
      if (before.claim !== standing?.claim) tally.movedAtMs = Number.POSITIVE_INFINITY;
      if (standing?.claim.deployment !== owner) this.#leave(instance, owner, tally);
    }
    if (standing === undefined) return;
    const { deployment } = standing.claim;
    const tally = this.#tally(deployment);
    tally.cause = cause ?? tally.cause;
    tally.members.set(instance, standing);
    tally.count(instance, standing, 1);
    this.#owners.set(instance, deployment);
    this.#checkStep(deployment, tally, instance);
    this.#listener?.onChange(deployment);
  }

  #leave(instance: string, owner: string, tally: Tally): void {
    tally.members.delete(instance);
    this.#owners.delete(instance);
    this.#checkStep(owner, tally, instance);
    this.#listener?.onChange(owner);
    this.#dropIfOver(owner, tally);
  }

  /** The instance has left the fleet: no step waits for it any more. */
  remove(instance: string): void {
    this.update(instance, undefined);
    for (const [deployment, tally] of this.#tallies)
      if (tally.awaited.delete(instance)) this.#endStep(deployment, tally);
  }

  /** Takes in how far an instance in flight is now, in monotonic time: a step that no count shows is a move too. */
  noteProgress(instance: string, progress: Progress, nowMs: number): void {
    const owner = this.#owners.get(instance);
    const tally = owner === undefined ? undefined : this.#tallies.get(owner);
    if (owner === undefined || tally?.members.get(instance)?.claim.state !== "told") return;
    const before = tally.progress.get(instance);
    tally.progress.set(instance, progress);
    const agoMs = movedAgoMs(before, progress);
    if (agoMs === null) return;
    tally.movedAtMs = Math.max(nowMs - agoMs, tally.movedAtMs ?? 0);
    this.#listener?.onMoved(owner);
  }

  /** A change of an instance of this deployment is on its way into the ledger; call the result when it is there. */
  writing(deployment: string): () => void {
    const tally = this.#tally(deployment);
    tally.unwritten++;
    return () => {
      tally.unwritten--;
      if (tally.unwritten === 0) this.#listener?.onWritten(deployment);
      this.#dropIfOver(deployment, tally);
    };
  }

  /** The ledger does not have all changes of its instances yet. */
  isUnwritten(deployment: string): boolean {
    return (this.#tallies.get(deployment)?.unwritten ?? 0) > 0;
  }

  /** The deployment's step has been sent to these instances; it counts as taken once it has taken effect on each. */
  beginStep(
    deployment: string,
    step: number,
    instances: Iterable<string>,
    hasTakenEffect: (standing: Standing | undefined) => boolean,
  ): void {
    const tally = this.#tally(deployment);
    tally.nextStep = step;
    tally.hasTakenEffect = hasTakenEffect;
    tally.awaited.clear();
    for (const instance of instances)
      if (!hasTakenEffect(tally.members.get(instance))) tally.awaited.add(instance);
    this.#endStep(deployment, tally);
  }

  #checkStep(deployment: string, tally: Tally, instance: string): void {
    if (tally.awaited.has(instance) && tally.hasTakenEffect(tally.members.get(instance))) {
      tally.awaited.delete(instance);
      this.#endStep(deployment, tally);
    }
  }

  #endStep(deployment: string, tally: Tally): void {
    if (tally.awaited.size > 0 || tally.step === tally.nextStep) return;
    tally.step = tally.nextStep;
    this.#listener?.onChange(deployment);
  }

  /** How many whole milliseconds ago something moved that was not asked for before, at this monotonic time; `null` if nothing did. */
  takeMovedAgoMs(deployment: string, nowMs: number): number | null {
    const tally = this.#tally(deployment);
    const { movedAtMs } = tally;
    tally.movedAtMs = null;
    return movedAtMs === null ? null : Math.max(0, Math.round(nowMs - movedAtMs));
  }

  /** What last changed something of its instances; `undefined` if nothing has under this leader. */
  causeOf(deployment: string): string | undefined {
    return this.#tallies.get(deployment)?.cause;
  }

  /** What the planner of a deployment is told. */
  observe(deployment: string, batch: number, silence: Silence): Observed {
    const tally = this.#tally(deployment);
    const { step, notNeeded, succeeded, everFailed, unreachable, inFlight, returnable, unwritten } = tally;
    return {
      step,
      total: tally.members.size,
      notNeeded,
      succeeded,
      failed: tally.failed.size,
      everFailed,
      failure: failureIn(tally),
      waiting: tally.waiting.size + tally.unheard,
      next: tally.waiting.first(Math.min(stepMax, Math.max(1, batch - tally.flights.size))),
      urgent: tally.urgent.size,
      nextUrgent: tally.urgent.first(stepMax),
      unreachable,
      inFlight,
      awaited: tally.flights.size,
      flights: tally.flights.first(stepMax),
      returnable,
      unwritten,
      silence,
    };
  }

  /** The deployment is over: nothing is kept of it once its last instance is another's. */
  forget(deployment: string): void {
    const tally = this.#tallies.get(deployment);
    if (tally === undefined) return;
    tally.over = true;
    this.#dropIfOver(deployment, tally);
  }

  #dropIfOver(deployment: string, tally: Tally): void {
    if (tally.over && tally.members.size === 0 && tally.unwritten === 0) this.#tallies.delete(deployment);
  }
}
