import { previewOf } from "../../machines/deployment-preview.js";
import type { DeploymentEvent } from "../../machines/deployment-record.js";
import {
  type NewDeployment,
  newDeployment,
  newRollback,
  targetFor,
} from "../../machines/deployment-request.js";
import { baseOf, type Overlap, type Target } from "../../machines/deployment-targets.js";
import { instancesPageMax, type ParsedRequestOf } from "../contracts/api.js";
import type { DeploymentRecord, DeploymentSpec, Mark } from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import { byUser, type Origin } from "../contracts/origin.js";
import { defaultDeadlineMs, defaultMinHealthyMs } from "../contracts/release.js";
import { doubtsAbout } from "../contracts/rollout-lint.js";
import { matches, parseSelector } from "../contracts/selector.js";
import type { DeploymentPreview } from "../contracts/views.js";
import type { Leader } from "./leader.js";
import type { DeploymentSnapshot } from "./roll-out.js";

type Act = { readonly deployment: string; readonly by: string; readonly reason: string | null };

/** What people may ask of deployments. Each resolves with the deployment's id once the ledger has what was asked. */
export class DeploymentCommands {
  readonly #leader: Leader;
  /** One creation at a time: each sees the claims of the one before it. */
  #creating: Promise<unknown> = Promise.resolve();
  /** Requests of this epoch without a key of their own. */
  #keyless = 0;

  constructor(leader: Leader) {
    this.#leader = leader;
  }

  /** @throws RollcallError for every reason not to begin it */
  create(request: ParsedRequestOf<"deployments.create">): Promise<string> {
    return this.#inTurn(request.requestKey, async () => {
      const asked = this.#asked(request, request.requestKey ?? null);
      const id = this.#leader.rollOuts.newId();
      await this.#leader.rollOuts.create(newDeployment({ ...asked, id }), this.originOf(request));
      return id;
    });
  }

  /**
   * What a creation would begin, without any of it.
   * @throws RollcallError as {@link create}
   */
  preview(request: ParsedRequestOf<"deployments.preview">): DeploymentPreview {
    const { members, rollOuts, term } = this.#leader;
    const asked = this.#asked(request, null);
    const record = newDeployment({ ...asked, id: "preview" });
    const { spec, batch, failureThreshold, matched, release } = record;
    const { batches, notNeeded, unreachable } = previewOf(rollOuts.targetsOf(record), batch, (instance) => {
      const context = members.find(instance)?.snapshot().context;
      if (context === undefined) return undefined;
      const { seen, silent } = context;
      return { running: seen?.state.running ?? null, desired: context.record.desired, silent };
    });
    const numbers = { ...spec, matched, healthCheck: release?.manifest.healthCheck ?? null };
    return {
      spec,
      batch,
      failureThreshold,
      matched,
      batches: firstOf(batches, instancesPageMax),
      batchCount: batches.length,
      notNeeded: notNeeded.slice(0, instancesPageMax),
      notNeededCount: notNeeded.length,
      unreachable: unreachable.slice(0, instancesPageMax),
      unreachableCount: unreachable.length,
      doubts: doubtsAbout(numbers),
      asOf: term.nowMs(),
      epoch: term.leadership.epoch,
    };
  }

  /** What is asked for, with the numbers that it comes to; every reason not to begin it is thrown. */
  #asked(
    request: ParsedRequestOf<"deployments.preview">,
    requestKey: string | null,
  ): Omit<NewDeployment, "id"> {
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
      ...(request.onStuck === "report" && { onStuck: "report" as const }),
      reason: request.reason,
    };
    const matched = this.#matching(spec);
    const asked = {
      spec,
      release,
      config,
      matched: matched.length,
      mark: this.#mark(request),
      requestKey,
      rollbackOf: null,
      retryOf: null,
    };
    newDeployment({ ...asked, id: "preview" });
    if (matched.length === 0)
      throw refusal("NO_MATCHING_INSTANCES", { selector: spec.selector ?? "the empty fleet" });
    this.#refuseWithoutRelease(spec, matched);
    this.#refuseShared(this.#ownersOf(matched));
    return asked;
  }

  async pause(request: Act): Promise<string> {
    await this.#untilBegun(request.deployment, "pause");
    return this.#act(
      request.deployment,
      { type: "pause", mark: this.#mark(request), origin: this.originOf(request) },
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
      { type: "resume", mark: this.#mark(request), force: request.force, origin: this.originOf(request) },
      "resume",
      ({ context }) => context.record.paused === null,
    );
  }

  async abort(request: Act): Promise<string> {
    this.#unfinished(request.deployment, "abort");
    return this.#act(
      request.deployment,
      { type: "abort", mark: this.#mark(request), origin: this.originOf(request) },
      "abort",
      // It may be over by what was decided before.
      ({ context }) => context.record.outcome === "aborted",
    );
  }

  /** Goes back from a deployment, running or over; resolves with the id of the rollback. */
  async rollback(request: Act): Promise<string> {
    const record = this.#known(request.deployment);
    if (record.rollbackOf !== null) throw refusal("ROLLBACK_OF_ROLLBACK", { deployment: record.id });
    if (record.stage !== "finished") return this.#rollbackRunning(request);
    return this.#inTurn(undefined, () => this.#rollbackFinished(record, request));
  }

  /** A new deployment for the instances that did not succeed. */
  retry(request: Act & { readonly requestKey?: string | undefined }): Promise<string> {
    return this.#inTurn(request.requestKey, async () => {
      const { rollOuts } = this.#leader;
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
      const preview = newDeployment({ ...asked, id: "preview" });
      if (rollbackOf !== null) this.#refuseSecondRollback(rollbackOf);
      this.#refuseShared(rollOuts.overlapsOf(preview));
      const targets = rollOuts.targetsOf(preview);
      if (targets.length === 0) throw refusal("NOTHING_TO_RETRY", { deployment: earlier.id });
      this.#refuseMissing(targets);
      const id = rollOuts.newId();
      const record = newDeployment({ ...asked, id, matched: targets.length });
      // A rollback has the numbers of what it undoes, whichever try it is.
      const { batch, failureThreshold } = rollbackOf === null ? record : earlier;
      await rollOuts.create(
        { ...record, batch, failureThreshold: Math.max(1, Math.min(failureThreshold, targets.length)) },
        this.originOf(request),
      );
      return id;
    });
  }

  async #rollbackFinished(record: DeploymentRecord, request: Act): Promise<string> {
    const { rollOuts } = this.#leader;
    this.#refuseSecondRollback(record.id);
    const preview = newRollback(record, "preview", this.#mark(request), record.matched);
    this.#refuseShared(rollOuts.overlapsOf(preview));
    const targets = rollOuts.targetsOf(preview);
    if (targets.length === 0)
      throw this.#wasTouchedSince(record)
        ? refusal("SUPERSEDED", { deployment: record.id })
        : refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: record.id });
    if (targets.every((target) => target.before === null))
      throw refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: record.id });
    this.#refuseMissing(targets);
    const id = rollOuts.newId();
    const rollback = newRollback(record, id, this.#mark(request), targets.length);
    await rollOuts.create(rollback, this.originOf(request));
    return id;
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

  /** Of what a request leads to. One without a key is given an id. */
  originOf(request: { readonly by: string; readonly requestKey?: string | undefined }): Origin {
    return byUser(
      request.by,
      request.requestKey ?? `${this.#leader.term.leadership.epoch}-${++this.#keyless}`,
    );
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
      return record !== undefined && targetFor(spec, baseOf(record)) === undefined;
    });
    if (without.length > 0)
      throw refusal("NO_RELEASE_YET", { example: without[0], others: without.length - 1 });
  }

  /** A rollback may go back to a version that was removed since. */
  #refuseMissing(targets: readonly Target[]): void {
    const { catalog } = this.#leader.term;
    for (const { target } of targets) catalog.runOf(target);
  }

  #ownersOf(instances: readonly string[]): Overlap[] {
    return instances.flatMap((instance) => {
      const owner = this.#leader.members.find(instance)?.snapshot().context.record.claim?.deployment;
      return owner === undefined ? [] : [{ instance, owner }];
    });
  }

  #refuseShared(overlaps: readonly Overlap[]): void {
    const [first] = overlaps;
    if (first === undefined) return;
    throw refusal("ROLLOUT_IN_PROGRESS", {
      other: this.#ownerNow(first.owner),
      shared: overlaps.filter(({ owner }) => owner === first.owner).length,
      example: first.instance,
    });
  }

  /** One rollback of a deployment at a time. */
  #refuseSecondRollback(of: string): void {
    const { rollOuts, term } = this.#leader;
    for (const { id, rollbackOf, stage } of rollOuts.records()) {
      if (rollbackOf !== of || stage === "finished") continue;
      const shared = [...term.index.membersOf(id).keys()];
      throw refusal("ROLLOUT_IN_PROGRESS", { other: id, shared: shared.length, example: shared[0] });
    }
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
    const id = request.deployment;
    const snapshot = await this.#untilBegun(id, "roll back");
    const event: DeploymentEvent = {
      type: "rollBack",
      mark: this.#mark(request),
      origin: this.originOf(request),
    };
    const isOver = isFinished(snapshot) || isEnding(snapshot);
    if (!isOver && !snapshot.can(event)) throw refusal("NO_PREVIOUS_DEPLOYMENT", { deployment: id });
    if (this.#known(id).stage !== "finished") await rollOuts.ask(id, isOver ? undefined : event, isFinished);
    for (const record of rollOuts.records()) if (record.rollbackOf === id) return record.id;
    // It ended otherwise in this very moment.
    return this.#inTurn(undefined, () => this.#rollbackFinished(this.#known(id), request));
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

/** The first batches, as many as hold so many instances. */
function firstOf(batches: readonly (readonly string[])[], instancesMax: number): string[][] {
  const first: string[][] = [];
  let left = instancesMax;
  for (const batch of batches) {
    if (left <= 0) break;
    first.push(batch.slice(0, left));
    left -= batch.length;
  }
  return first;
}
