import { isInSync } from "../../contracts/app-status.js";
import type { DeploymentRecord } from "../../contracts/deployment.js";
import { sameVersion, type VersionPair } from "../../contracts/version.js";
import { ranMs } from "./deployment-clock.js";
import type { Witness } from "./invariant.js";

/*
 * When a fleet is at rest, and how long it may take to get there once nothing goes wrong any more. What is late is late by a rule of its own, so that a
 * fleet that hangs is noticed long before everything together could have taken so long.
 */

/** A report interval, a look of the coordinator, a write, and a look of ours: by so much anything may be later than it was due. */
const lagMs = 10_000;
/** A write that nobody answers is given up after so long, and then everything is read anew. */
const commitMs = 20_000;
/** Two report intervals in which nobody is judged, and a window of silence after which a hold ends. */
const listenMs = 20_000;
/** One unanswered try to take the lease, and the start of a process in the place of one that has ended. */
const tryMs = 7_000;
/** The defaults of a release: a phase that does not move has failed. */
const stuckMs = 300_000;
/** The longest wait before a process is started again, and before an agent reads its desired state once more. */
const againMs = 60_000;
/** How long a client goes on asking: what people wanted last may still be done then. */
const peopleMs = 60_000;

/** The longest wait before an app is tried again, a call that hangs, the list that is read anyway, two looks at tombstones. */
const appsMs = 300_000 + 30_000 + 60_000 + 60_000;

/** What is late, by the rule that it breaks. */
export interface Late {
  readonly id: string;
  readonly sentence: string;
}

/** Watches over a fleet from the moment on at which all faults have ended. */
export class Rest {
  readonly #witness: Witness;
  /** When the last process that stood still goes on. */
  readonly #calmAtMs: number;
  /** When somebody must lead. */
  readonly #ledByMs: number;
  #wasLed = false;
  /** By deployment that is not over: when it must be. */
  readonly #overByMs = new Map<string, number>();
  /** When everything must be at rest, counted from the last moment at which a deployment was under way. */
  #restByMs: number;

  constructor(witness: Witness, startedAtMs: number) {
    const { plan, nowMs } = witness;
    const stalls = plan.happenings.flatMap((happening) =>
      "how" in happening && happening.how === "stall" ? startedAtMs + happening.atMs + happening.forMs : [],
    );
    this.#witness = witness;
    this.#calmAtMs = Math.max(nowMs(), ...stalls);
    this.#ledByMs = this.#calmAtMs + 2 * plan.leaseMs + tryMs;
    this.#restByMs = this.#settledAtMs;
  }

  /** Somebody leads, knows what is so, and judges. */
  get #settledAtMs(): number {
    return this.#ledByMs + commitMs + listenMs;
  }

  /** What is not at rest yet: a deployment that is not over, an instance that is not where it was told to be. */
  unrest(): string | undefined {
    const stands = this.#witness.nowMs() < this.#calmAtMs ? "a process stands still" : undefined;
    return (
      stands ??
      this.#unled() ??
      this.#unfinished() ??
      this.#unsettled() ??
      this.#atWork() ??
      this.#appsUnsettled()
    );
  }

  /**
   * What takes longer than it may:
   * - L2: two leases after the faults somebody leads; a leader that just had it when it was killed keeps it for one, and the next takes
   *   it on its next look.
   * - L6: an instance in flight is judged when its deadline has passed on the clock of its deployment.
   * - L4: a deployment is over when its instances have had their turns, a batch at a time, each of them up to its deadline; those of a
   *   rollback that were in flight or had failed have theirs before the others. An agent that joins by then takes part.
   * - L1: after the last deployment whatever is owed is told a batch of its deployment at a time; what goes back has its deadline; and an
   *   agent that is in a phase that hangs gives it up.
   */
  late(): Late | undefined {
    const nowMs = this.#witness.nowMs();
    if (!this.#wasLed && nowMs > this.#ledByMs) return { id: "L2", sentence: "nobody leads" };
    const judged = nowMs > this.#settledAtMs ? this.#unjudged(nowMs) : undefined;
    if (judged !== undefined) return { id: "L6", sentence: judged };
    for (const record of this.#witness.ledger.deployments.values()) {
      if (record.outcome !== null) continue;
      const byMs =
        this.#overByMs.get(record.id) ?? Math.max(nowMs, this.#settledAtMs) + this.#overInMs(record);
      this.#overByMs.set(record.id, byMs);
      this.#restByMs = Math.max(nowMs, this.#settledAtMs) + this.#owedInMs();
      if (nowMs > byMs) return { id: "L4", sentence: `deployment ${record.id} is ${record.stage}` };
    }
    this.#restByMs = Math.max(this.#restByMs, this.#settledAtMs + this.#owedInMs());
    return nowMs > this.#restByMs ? { id: "L1", sentence: this.unrest() ?? "it is not at rest" } : undefined;
  }

  #unled(): string | undefined {
    for (const node of this.#witness.coordinators.values())
      if (node.leads) {
        this.#wasLed = true;
        return undefined;
      }
    return "nobody leads";
  }

  #unfinished(): string | undefined {
    for (const { id, outcome, stage } of this.#witness.ledger.deployments.values())
      if (outcome === null) return `deployment ${id} is ${stage}`;
    return undefined;
  }

  #unsettled(): string | undefined {
    const { ledger, agents } = this.#witness;
    for (const { id, claim, last, owed } of ledger.instances.values()) {
      if (claim !== null) return `${id} is claimed by ${claim.deployment}`;
      // Whether or not its agent is there: its deadline ends it.
      if (owed !== null && last?.result === "told" && last.deployment === owed.deployment)
        return `${id} is on its way to what it is owed`;
      if (!agents.has(id)) continue;
      if (last?.result === "goingBack") return `${id} is still going back`;
      if (owed !== null && (last?.result !== "failed" || this.#isThere(id, owed.target)))
        return `${id} is owed something by ${owed.deployment}`;
    }
    for (const id of agents.keys()) if (!ledger.instances.has(id)) return `${id} is not in the fleet`;
    return undefined;
  }

  /** It got there after its time, and counts as failed only until that is believed. */
  #isThere(instance: string, target: VersionPair | null): boolean {
    const state = this.#witness.agents.get(instance)?.agent?.stateOf(instance);
    return state?.phase === "ACTIVE" && state.health === "HEALTHY" && sameVersion(state.running, target);
  }

  #atWork(): string | undefined {
    const { ledger, agents, reports } = this.#witness;
    for (const [id, { generation }] of ledger.desired) {
      const node = agents.get(id);
      if (node === undefined) continue;
      const state = node.agent?.stateOf(id);
      if (state === undefined) return `the agent of ${id} does not run`;
      const { phase, running } = state;
      if (phase !== "ACTIVE" && phase !== "FAILED" && phase !== "STOPPED")
        return `${id} is at work, ${phase} of generation ${generation}`;
      if (phase === "ACTIVE" && running === null) return `the process of ${id} is about to be started again`;
      const { observedGeneration = 0 } = reports.get(id) ?? {};
      if (observedGeneration < generation)
        return `${id} acts on generation ${observedGeneration}, it was told ${generation}`;
    }
    return undefined;
  }

  /** A process with apps that is not known, an app that is not as asked and still tried, or whose tombstone still stands. */
  #appsUnsettled(): string | undefined {
    const { ledger, apps } = this.#witness;
    for (const id of apps.keys())
      if (!ledger.apps.instances.has(id)) return `${id} has apps and is not in the fleet`;
    for (const [id, { agent }] of apps)
      for (const { app, nextAttemptAtMs } of agent?.states() ?? [])
        if (nextAttemptAtMs !== null) return `${app} is tried again on ${id}`;
    for (const record of ledger.apps.records.values()) {
      const { app, generation, desiredStatus } = record;
      const states = new Map([...apps].map(([id, { agent }]) => [id, agent?.stateOf(app)] as const));
      for (const [id, state] of states) {
        if (apps.get(id)?.agent === undefined) return `${id} does not run`;
        const isGivenUp = state?.generation === generation && state.stopped;
        if (!isInSync(record, state) && !isGivenUp)
          return `${app} on ${id} is ${state?.initStatus} at generation ${state?.generation}, it is to be ${desiredStatus} at ${generation}`;
      }
      const isConfirmed = [...ledger.apps.instances].every((id) => states.get(id)?.installed !== true);
      if (desiredStatus === "uninstalled" && isConfirmed) return `the tombstone of ${app} still stands`;
    }
    return undefined;
  }

  /** By the clock of its deployment, an instance in flight whose time is over. */
  #unjudged(nowMs: number): string | undefined {
    const { ledger } = this.#witness;
    for (const { id, claim } of ledger.instances.values()) {
      if (claim === null || claim.state !== "told" || claim.toldAtMs === null) continue;
      const deployment = ledger.deployments.get(claim.deployment);
      if (deployment === undefined || deployment.stage !== "running") continue;
      const clockMs = ranMs(deployment, nowMs);
      const { deadlineMs } = deployment.spec;
      if (clockMs - claim.toldAtMs > deadlineMs + lagMs)
        return `${id} was told something by ${deployment.id} ${Math.round(clockMs - claim.toldAtMs)} ms ago, its deadline is ${deadlineMs} ms`;
    }
    return undefined;
  }

  #overInMs({ id, stage, matched, batch, rollbackOf, spec }: DeploymentRecord): number {
    const { ledger, agents } = this.#witness;
    let turns = stage === "preparing" ? matched : 0;
    for (const { claim } of ledger.instances.values())
      if (claim?.deployment === id && (claim.state === "waiting" || claim.state === "told")) turns++;
    for (const instance of agents.keys()) if (!ledger.instances.has(instance)) turns++;
    const rounds = Math.ceil(turns / batch) + (rollbackOf === null ? 0 : 1);
    return peopleMs + rounds * (spec.deadlineMs + lagMs) + lagMs;
  }

  #owedInMs(): number {
    const { ledger } = this.#witness;
    const owed = new Map<string, number>();
    let longestMs = 0;
    for (const { deadlineMs } of ledger.desired.values()) longestMs = Math.max(longestMs, deadlineMs + lagMs);
    for (const instance of ledger.instances.values())
      if (instance.owed !== null)
        owed.set(instance.owed.deployment, (owed.get(instance.owed.deployment) ?? 0) + 1);
    let roundsMs = 0;
    for (const [id, count] of owed) {
      const { batch = 1, spec } = ledger.deployments.get(id) ?? {};
      roundsMs += Math.ceil(count / batch) * ((spec?.deadlineMs ?? stuckMs) + lagMs);
    }
    return (
      peopleMs + longestMs + roundsMs + Math.max(stuckMs + againMs, ledger.apps.records.size > 0 ? appsMs : 0)
    );
  }
}
