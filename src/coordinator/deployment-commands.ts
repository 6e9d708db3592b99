import type { DeploymentEvent } from "../../machines/deployment-record.js";
import {
  type NewDeployment,
  newDeployment,
  newRollback,
  targetFor,
} from "../../machines/deployment-request.js";
import type { ParsedRequestOf } from "../contracts/api.js";
import type { DeploymentRecord, DeploymentSpec, Mark } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { matches, parseSelector } from "../contracts/selector.js";
import type { Leader } from "./leader.js";
import type { DeploymentSnapshot } from "./roll-outs.js";

const defaultMinHealthyMs = 10_000;
const defaultDeadlineMs = 900_000;

type Act = { readonly deployment: string; readonly by: string; readonly reason: string | null };

/** What people may ask of deployments. Each resolves with the deployment's id once the ledger has what was asked. */
export class DeploymentCommands {
  readonly #leader: Leader;
  /** One creation at a time: each sees the claims of the one before it. */
  #creating: Promise<unknown> = Promise.resolve();

  constructor(leader: Leader) {
    this.#leader = leader;
  }

  /** @throws RollcallError for every reason not to begin it */
  create(request: ParsedRequestOf<"deployments.create">): Promise<string> {
    return this.#inTurn(request.requestKey, async () => {
      const { catalog } = this.#leader.term;
      const release = request.release === null ? null : catalog.release(request.release).release;
      const config = request.config === null ? null : catalog.config(request.config).config;
      const spec: DeploymentSpec = {
        release: request.release,
        config: request.config,
        selector: request.selector,
        batch: request.batch,
        failureThreshold: request.failureThreshold,
        minHealthyMs: request.minHealthyMs ?? release?.manifest.minHealthyMs ?? defaultMinHealthyMs,
        deadlineMs: request.deadlineMs ?? release?.manifest.deadlineMs ?? defaultDeadlineMs,
        progressDeadlineMs: request.progressDeadlineMs,
        rollback: request.rollback,
        reason: request.reason,
      };
      const matched = this.#matching(spec);
      return this.#begin(
        {
          spec,
          release,
          config,
          matched: matched.length,
          mark: this.#mark(request),
          requestKey: request.requestKey ?? null,
          rollbackOf: null,
          retryOf: null,
        },
        () => {
          if (matched.length === 0)
            throw refusal("NO_MATCHING_INSTANCES", { selector: spec.selector ?? "the empty fleet" });
          this.#refuseWithoutRelease(spec, matched);
          this.#refuseOverlap(matched);
        },
      );
    });
  }

  async pause(request: Act): Promise<string> {
    await this.#untilBegun(request.deployment, "pause");
    return this.#act(
      request.deployment,
      { type: "pause", mark: this.#mark(request) },
      "pause",
      ({ context }) => context.record.paused !== null,
    );
  }

  async resume(request: Act & { readonly force: boolean }): Promise<string> {
    const snapshot = await this.#untilBegun(request.deployment, "resume");
    if (snapshot.context.record.paused === null && !(request.force && snapshot.context.record.held !== null))
      throw refusal("NOT_PAUSED", { deployment: request.deployment });
    return this.#act(
      request.deployment,
      { type: "resume", mark: this.#mark(request), force: request.force },
      "resume",
      ({ context }) => context.record.paused === null,
    );
  }

  async abort(request: Act): Promise<string> {
    this.#unfinished(request.deployment, "abort");
    return this.#act(request.deployment, { type: "abort", mark: this.#mark(request) }, "abort", isFinished);
  }

  /** Goes back from a deployment, running or over; resolves with the id of the rollback. */
  async rollback(request: Act): Promise<string> {
    const record = this.#known(request.deployment);
    if (record.rollbackOf !== null) throw refusal("ROLLBACK_OF_ROLLBACK", { deployment: record.id });
    if (record.stage !== "finished") return this.#rollbackRunning(request);
    return this.#inTurn(undefined, async () => {
      const { rollOuts } = this.#leader;
      const rollback = newRollback(record, "preview", this.#mark(request), record.matched);
      const targets = rollOuts.targetsOf(rollback);
      if (targets.length === 0)
        throw this.#wasTouchedSince(record)
          ? refusal("SUPERSEDED", { deployment: record.id })
          : refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: record.id });
      if (targets.every((target) => target.before === null))
        throw refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: record.id });
      this.#refuseOverlap(targets.map((target) => target.instance));
      const id = rollOuts.newId();
      await rollOuts.create({ ...rollback, id, matched: targets.length });
      return id;
    });
  }

  /** A new deployment for the instances that did not succeed. */
  retry(request: Act & { readonly requestKey?: string | undefined }): Promise<string> {
    return this.#inTurn(request.requestKey, async () => {
      const earlier = this.#known(request.deployment);
      if (earlier.stage !== "finished") throw refusal("NOT_FINISHED", { deployment: earlier.id });
      const { spec, release, config, rollbackOf } = earlier;
      const asked = {
        spec,
        release,
        config,
        matched: 1,
        mark: this.#mark(request),
        requestKey: request.requestKey ?? null,
        rollbackOf,
        retryOf: earlier.id,
      };
      const targets = this.#leader.rollOuts.targetsOf(newDeployment({ ...asked, id: "preview" }));
      return this.#begin({ ...asked, matched: targets.length }, () => {
        if (targets.length === 0) throw refusal("NOTHING_TO_RETRY", { deployment: earlier.id });
        this.#refuseOverlap(targets.map((target) => target.instance));
      });
    });
  }

  #begin(asked: Omit<NewDeployment, "id">, check: () => void): Promise<string> {
    const record = newDeployment({ ...asked, id: "preview" });
    check();
    const id = this.#leader.rollOuts.newId();
    return this.#leader.rollOuts.create({ ...record, id }).then(() => id);
  }

  /** Runs one creation after another; a repeat with the key of an earlier one is that one. */
  #inTurn(requestKey: string | undefined, create: () => Promise<string>): Promise<string> {
    const turn = this.#creating.then(() => this.#byKey(requestKey) ?? create());
    // Whoever asked hears of the failure; the next turn comes all the same.
    this.#creating = turn.catch(() => undefined);
    return turn;
  }

  #byKey(requestKey: string | undefined): string | undefined {
    if (requestKey === undefined) return undefined;
    for (const record of this.#leader.rollOuts.records())
      if (record.requestKey === requestKey) return record.id;
    return undefined;
  }

  #mark(request: { readonly by: string; readonly reason: string | null }): Mark {
    return { by: request.by, reason: request.reason, atMs: this.#leader.term.nowMs() };
  }

  #matching(spec: DeploymentSpec): string[] {
    const selector = parseSelector(spec.selector);
    const matching: string[] = [];
    for (const record of this.#leader.members.records())
      if (matches(selector, record.labels)) matching.push(record.id);
    return matching;
  }

  #refuseWithoutRelease(spec: DeploymentSpec, instances: readonly string[]): void {
    const without = instances.filter((instance) => {
      const record = this.#leader.members.find(instance)?.snapshot().context.record;
      return record !== undefined && targetFor(spec, record.stable ?? record.desired) === undefined;
    });
    if (without.length > 0)
      throw refusal("NO_RELEASE_YET", { example: without[0], others: without.length - 1 });
  }

  #refuseOverlap(instances: readonly string[]): void {
    const claimed = new Map<string, string[]>();
    for (const instance of instances) {
      const owner = this.#leader.members.find(instance)?.snapshot().context.record.claim?.deployment;
      if (owner !== undefined) claimed.set(owner, [...(claimed.get(owner) ?? []), instance]);
    }
    for (const [other, shared] of claimed)
      throw refusal("ROLLOUT_IN_PROGRESS", {
        other: this.#ownerNow(other),
        shared: shared.length,
        example: shared[0],
      });
  }

  /** Claims of a deployment that has just ended belong to its rollback. */
  #ownerNow(deployment: string): string {
    const { rollOuts } = this.#leader;
    if (rollOuts.record(deployment)?.stage !== "finished") return deployment;
    for (const record of rollOuts.records())
      if (record.rollbackOf === deployment && record.stage !== "finished") return record.id;
    return deployment;
  }

  /** @throws RollcallError `UNKNOWN_DEPLOYMENT` */
  #known(deployment: string): DeploymentRecord {
    const record = this.#leader.rollOuts.record(deployment);
    if (record === undefined) throw refusal("UNKNOWN_DEPLOYMENT", { deployment });
    return record;
  }

  #unfinished(deployment: string, verb: string): DeploymentRecord {
    const record = this.#known(deployment);
    if (record.stage === "finished")
      throw refusal("ALREADY_FINISHED", { deployment, outcome: record.outcome, verb });
    return record;
  }

  /** Its instances are claimed: a pause before that would pause nothing. */
  #untilBegun(deployment: string, verb: string): Promise<DeploymentSnapshot> {
    this.#unfinished(deployment, verb);
    return this.#leader.rollOuts.ask(deployment, undefined, (snapshot) => snapshot.value !== "preparing");
  }

  async #act(
    deployment: string,
    event: DeploymentEvent,
    verb: string,
    holds: (snapshot: DeploymentSnapshot) => boolean,
  ): Promise<string> {
    const { rollOuts } = this.#leader;
    const snapshot = await rollOuts.ask(
      deployment,
      event,
      (reached) => holds(reached) || isFinished(reached) || isEnding(reached),
    );
    if (holds(snapshot)) return deployment;
    const ended = isFinished(snapshot) ? snapshot : await rollOuts.ask(deployment, undefined, isFinished);
    if (holds(ended)) return deployment;
    throw refusal("ALREADY_FINISHED", { deployment, outcome: ended.context.record.outcome, verb });
  }

  async #rollbackRunning(request: Act): Promise<string> {
    const { rollOuts } = this.#leader;
    const snapshot = await this.#untilBegun(request.deployment, "roll back");
    const event: DeploymentEvent = { type: "rollBack", mark: this.#mark(request) };
    if (!isFinished(snapshot) && !snapshot.can(event))
      throw refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: request.deployment });
    if (!isFinished(snapshot)) await rollOuts.ask(request.deployment, event, isFinished);
    for (const record of rollOuts.records()) if (record.rollbackOf === request.deployment) return record.id;
    throw refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: request.deployment });
  }

  /** Some instance that it told something has been told something by a later deployment. */
  #wasTouchedSince(record: DeploymentRecord): boolean {
    const { counts } = record;
    return counts !== null && counts.succeeded + counts.failed + counts.inFlight > 0;
  }
}

function isFinished(snapshot: DeploymentSnapshot): boolean {
  return snapshot.context.record.stage === "finished";
}

function isEnding(snapshot: DeploymentSnapshot): boolean {
  return snapshot.context.record.ending !== null;
}
