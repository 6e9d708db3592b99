import type { SnapshotFrom } from "xstate";
import type { deploymentMachine } from "../../machines/deployment.js";
import type { memberMachine } from "../../machines/member.js";
import type { DeploymentRecord, InstanceRecord } from "../../src/contracts/deployment.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { sameVersion } from "../../src/contracts/version.js";
import { fleet } from "./coordinators-world.js";
import type { FleetWorld } from "./fleet.js";

type DeploymentSnapshot = SnapshotFrom<typeof deploymentMachine>;
type MemberSnapshot = SnapshotFrom<typeof memberMachine>;

/**
 * What must hold in a fleet at every moment, whatever happens. Made once a world, it is asked after each virtual
 * event; it looks at the machines of whoever leads and at every desired state that the ledger ever sent.
 */
export class Invariants {
  readonly #world: FleetWorld;
  /** Every deployment that was ever seen, as it was seen last. */
  readonly deployments = new Map<string, DeploymentRecord>();
  /** How each of them ended, as the audit log has it: what is written there was decided once and for all. */
  readonly outcomes = new Map<string, string>();
  /** The newest generation that each instance was ever told. */
  readonly #generations = new Map<string, number>();
  /** Deployments by the index in `world.desires` from which on nobody is told what they wanted. */
  readonly #undone = new Map<string, number>();
  readonly #failed = new Map<string, Set<string>>();
  /** Claims that were seen to have succeeded. */
  readonly #succeeded = new Set<string>();
  /** The ends that were heard of: faults double these messages too. */
  readonly #events = new Set<string>();
  /** What was noticed where nothing can be thrown. */
  readonly #problems: string[] = [];
  #seenDesires = 0;
  #handled = -1;

  constructor(world: FleetWorld) {
    this.#world = world;
    world.checks.push(() => this.check());
    world.hub.connect("auditor").subscribe(subjectsOf(fleet).event("deployment", "*"), (message) => {
      const event = message.header("ce-id") ?? "";
      if (message.header("ce-type") !== "dev.rollcall.deployment.finished.v1" || this.#events.has(event))
        return;
      this.#events.add(event);
      const { outcome } = JSON.parse(new TextDecoder().decode(message.data)) as { outcome: string };
      this.#finished(message.subject.split(".").at(-1) ?? "", outcome);
    });
  }

  check(): void {
    if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
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
    const members = this.#members();
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
      if (seen === undefined) continue;
      const { instance, desired } = seen;
      if (desired === undefined) {
        // It has left. Should it come back, it goes on from what it acts on itself.
        this.#generations.delete(instance);
        continue;
      }
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
    this.deployments.set(record.id, record);
    if (record.stage === "running") {
      const own = members.flatMap(({ context: { record: instance } }) =>
        instance.claim?.deployment === record.id ? [instance] : [],
      );
      this.#checkSlots(record, own);
      this.#noteFailed(record, own);
    }
    const isOver = typeof value === "object" && "finished" in value;
    if (isOver !== (record.outcome !== null))
      throw new Error(`${record.id}: its state and its outcome differ`);
    const outcome = this.outcomes.get(record.id);
    if (outcome !== undefined && record.outcome !== outcome)
      throw new Error(`${record.id} was ${outcome} and is ${record.outcome}`);
  }

  /** One outcome a deployment. After a rollback each instance that it took was told what was stable there before. */
  #finished(id: string, outcome: string): void {
    const before = this.outcomes.get(id);
    this.outcomes.set(id, outcome);
    if (before !== undefined) this.#problems.push(`${id} was ${before} and became ${outcome}`);
    const record = this.deployments.get(id);
    if (record === undefined) return;
    if (record.rollbackOf !== null && outcome === "rolled_back")
      this.#undone.set(record.rollbackOf, this.#world.desires.length);
    const failed = this.#failed.get(id)?.size ?? 0;
    if (outcome === "completed" && failed >= record.failureThreshold)
      this.#problems.push(
        `${id} completed with ${failed} failures, its threshold is ${record.failureThreshold}`,
      );
    this.#checkWayBack(record, outcome);
  }

  /** What it told has gone back, or is on its way: all of it by a rollback, and by an early end what had not succeeded. */
  #checkWayBack({ id, rollbackOf }: DeploymentRecord, outcome: string): void {
    if (outcome === "completed" || outcome === "rollback_failed") return;
    for (const { context } of this.#members()) {
      const { id: instance, last, claim, desired } = context.record;
      if (claim !== null || last?.deployment !== id) continue;
      const stays = rollbackOf === null ? last.result === "succeeded" : last.result !== "succeeded";
      if (!stays && !sameVersion(desired, last.before))
        this.#problems.push(`${instance} is not back on what it had before ${id}`);
    }
  }

  /** Instances that failed in it, as the ledger has them: one that left and came back is another one. */
  #noteFailed({ id }: DeploymentRecord, own: readonly InstanceRecord[]): void {
    const failed = this.#failed.get(id) ?? new Set();
    this.#failed.set(id, failed);
    for (const { id: instance, joinedAtMs, claim } of own)
      if (claim?.hasFailed && this.#isSaved(instance)) failed.add(`${instance} ${joinedAtMs}`);
  }

  #isSaved(instance: string): boolean {
    const name = this.#world.leaderName();
    return name !== undefined && this.#world.host(name).find("member", instance)?.saved === true;
  }

  #members(): MemberSnapshot[] {
    const name = this.#world.leaderName();
    if (name === undefined) return [];
    return [...this.#world.host(name).list("member")].map((actor) => actor.snapshot() as MemberSnapshot);
  }

  /** In flight are never more than the batch, but for what a rollback tells at once. */
  #checkSlots(record: DeploymentRecord, own: readonly InstanceRecord[]): void {
    const told = own.filter(({ claim }) => claim?.state === "told");
    const counted = told.filter(({ claim }) => !claim?.urgent);
    if (record.rollbackOf === null && counted.length !== told.length)
      throw new Error(`${record.id} tells instances outside its batch`);
    if (counted.length > record.batch)
      throw new Error(`${record.id} has ${counted.length} in flight, its batch is ${record.batch}`);
    for (const { id, claim } of own)
      if (claim?.state === "succeeded") this.#succeeded.add(`${record.id} ${id}`);
    const lost = own.filter(
      ({ id, claim }) => claim?.state === "failed" && !this.#succeeded.has(`${record.id} ${id}`),
    );
    if (record.rollbackOf === null && told.length + lost.length > record.batch + record.failureThreshold - 1)
      throw new Error(`${record.id} has ${told.length} in flight and ${lost.length} failed`);
  }
}
