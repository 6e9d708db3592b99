import type { SnapshotFrom } from "xstate";
import type { deploymentMachine } from "../../machines/deployment.js";
import type { memberMachine } from "../../machines/member.js";
import type { DeploymentRecord, InstanceRecord, Outcome } from "../../src/contracts/deployment.js";
import { sameVersion } from "../../src/contracts/version.js";
import type { FleetWorld } from "./fleet.js";

type DeploymentSnapshot = SnapshotFrom<typeof deploymentMachine>;
type MemberSnapshot = SnapshotFrom<typeof memberMachine>;

/** What a deployment was seen to be. */
interface Known {
  record: DeploymentRecord;
  outcome: Outcome | null;
  spent: number;
  /** The record as text, once it is over. */
  last: string | undefined;
}

/**
 * What must hold in a fleet at every moment, whatever happens. Made once a world, it is asked after each virtual
 * event; it looks at the machines of whoever leads and at every desired state that the ledger ever sent.
 */
export class Invariants {
  readonly #world: FleetWorld;
  readonly #deployments = new Map<string, Known>();
  /** The newest generation that each instance was ever told. */
  readonly #generations = new Map<string, number>();
  /** Deployments by the index in `world.desires` from which on nobody is told what they wanted. */
  readonly #undone = new Map<string, number>();
  #seenDesires = 0;
  #handled = -1;

  constructor(world: FleetWorld) {
    this.#world = world;
    world.checks.push(() => this.check());
  }

  /** Every deployment that was ever seen, by its id. */
  get deployments(): ReadonlyMap<string, { readonly record: DeploymentRecord }> {
    return this.#deployments;
  }

  check(): void {
    this.#checkDesires();
    const leads = [...this.#world.coordinators.values()].filter(({ coordinator }) => coordinator.leads());
    if (leads.length > 1) throw new Error("two coordinators lead");
    for (const { host } of this.#world.coordinators.values()) {
      const { deadLettersBy, restarts, givenUp, failedCommands } = host.stats;
      if (restarts + givenUp + failedCommands + deadLettersBy.failed > 0)
        throw new Error(`an actor failed: ${JSON.stringify(host.stats)}`);
    }
    const leader = leads[0];
    if (leader === undefined) {
      this.#handled = -1;
      return;
    }
    const { handled } = leader.host.stats;
    if (handled === this.#handled) return;
    this.#handled = handled;
    const members = [...leader.host.list("member")].map((actor) => actor.snapshot() as MemberSnapshot);
    for (const actor of leader.host.list("deployment"))
      this.#checkDeployment(actor.snapshot() as DeploymentSnapshot, members);
  }

  /** At the end, with all faults over: nothing is left under way, and everybody runs what was asked. */
  checkEnd(): void {
    const leader = this.#world.host(this.#world.leaderName());
    const problems: string[] = [];
    for (const actor of leader.list("deployment")) problems.push(`deployment ${actor.id} is not over`);
    for (const actor of leader.list("member")) {
      const { context, value } = actor.snapshot() as MemberSnapshot;
      const { record } = context;
      const agent = this.#world.agents.get(actor.id);
      if (record.claim !== null) problems.push(`${actor.id} is claimed by ${record.claim.deployment}`);
      if (agent === undefined || !agent.started) continue;
      if (value.update === "IN_PROGRESS" || value.update === "NEEDING_UPDATE")
        problems.push(`${actor.id} is ${value.update}`);
      if (record.owed !== null && value.update !== "FAILED")
        problems.push(`${actor.id} is still owed something`);
      if (record.generation > 0 && record.last !== null && !sameVersion(agent.state.running, record.desired))
        if (value.update !== "FAILED") problems.push(`${actor.id} does not run what it was told`);
      if ((agent.desired?.generation ?? 0) > record.generation)
        problems.push(`${actor.id} was told generation ${agent.desired?.generation}, the record has less`);
    }
    if (problems.length > 0) throw new Error(problems.join("; "));
  }

  #checkDesires(): void {
    const { desires } = this.#world;
    for (; this.#seenDesires < desires.length; this.#seenDesires++) {
      const seen = desires[this.#seenDesires];
      if (seen?.desired === undefined) continue;
      const { instance, desired } = seen;
      const before = this.#generations.get(instance) ?? 0;
      if (desired.generation <= before)
        throw new Error(`${instance} was told generation ${desired.generation} after ${before}`);
      this.#generations.set(instance, desired.generation);
      const over = desired.deployment === null ? undefined : this.#undone.get(desired.deployment);
      if (over !== undefined && this.#seenDesires >= over)
        throw new Error(`${instance} was told what ${desired.deployment} wanted, which was rolled back`);
    }
  }

  #checkDeployment({ context, value }: DeploymentSnapshot, members: readonly MemberSnapshot[]): void {
    const { record } = context;
    const own = members.flatMap(({ context: { record: instance } }) =>
      instance.claim?.deployment === record.id ? [instance] : [],
    );
    this.#checkOutcome(record);
    if (record.stage === "running") {
      checkSlots(record, own);
      this.#checkSpent(record, own);
    }
    if (record.rollbackOf !== null && record.stage === "finished") this.#checkExact(record, members);
    const isOver = typeof value === "object" && "finished" in value;
    if (isOver !== (record.outcome !== null))
      throw new Error(`${record.id}: its state and its outcome differ`);
  }

  #known(record: DeploymentRecord): Known {
    const known = this.#deployments.get(record.id) ?? { record, outcome: null, spent: 0, last: undefined };
    this.#deployments.set(record.id, known);
    known.record = record;
    return known;
  }

  /** One outcome a deployment, and a record that does not change after it. */
  #checkOutcome(record: DeploymentRecord): void {
    const known = this.#known(record);
    if (known.outcome !== null && record.outcome !== known.outcome)
      throw new Error(`${record.id} was ${known.outcome} and is ${record.outcome}`);
    known.outcome = record.outcome;
    if (record.outcome === null) return;
    const text = JSON.stringify(record);
    if (known.last !== undefined && known.last !== text)
      throw new Error(`the record of ${record.id} changed`);
    known.last = text;
  }

  /** What was spent stays spent; the threshold ends it, and nothing below it does. */
  #checkSpent(record: DeploymentRecord, own: readonly InstanceRecord[]): void {
    const known = this.#known(record);
    const spent = own.filter(({ claim }) => claim?.hasFailed).length + record.leftFailed;
    // An instance that leaves is for a moment counted nowhere: its event is on the way to the deployment.
    known.spent = Math.max(known.spent, spent);
    if (record.outcome === "completed" && spent >= record.failureThreshold)
      throw new Error(`${record.id} completed with ${spent} failures`);
  }

  /** After a rollback each instance that it took was told exactly what was stable there before. */
  #checkExact(rollback: DeploymentRecord, members: readonly MemberSnapshot[]): void {
    if (rollback.rollbackOf === null || this.#undone.has(rollback.rollbackOf)) return;
    if (rollback.outcome !== "rolled_back") return;
    this.#undone.set(rollback.rollbackOf, this.#world.desires.length);
    for (const { context } of members) {
      const { id, last, claim, desired } = context.record;
      if (claim !== null || last?.deployment !== rollback.id || last.result !== "succeeded") continue;
      if (!sameVersion(desired, last.before)) throw new Error(`${id} is not back on what it had`);
    }
  }
}

/** In flight are never more than the batch, but for what a rollback tells at once. */
function checkSlots(record: DeploymentRecord, own: readonly InstanceRecord[]): void {
  const told = own.filter(({ claim }) => claim?.state === "told");
  const counted = told.filter(({ claim }) => !claim?.urgent);
  if (record.rollbackOf === null && counted.length !== told.length)
    throw new Error(`${record.id} tells instances outside its batch`);
  if (counted.length > record.batch)
    throw new Error(`${record.id} has ${counted.length} in flight, its batch is ${record.batch}`);
  const lost = own.filter(({ claim }) => claim?.state === "failed");
  if (record.rollbackOf === null && told.length + lost.length > record.batch + record.failureThreshold - 1)
    throw new Error(`${record.id} has ${told.length} in flight and ${lost.length} failed`);
}
