import type { z } from "zod";
import { nextToConverge } from "../../machines/convergence.js";
import { targetFor } from "../../machines/deployment-request.js";
import { reportIntervalMs, type Silence } from "../../machines/liveness.js";
import type { MemberEvent } from "../../machines/member.js";
import type {
  Bus,
  Clock,
  Leadership,
  Ledger,
  LedgerEntry,
  Log,
  Random,
  Subscription,
} from "../base/ports.js";
import {
  type ConfigRecord,
  configRecordSchema,
  type DeploymentRecord,
  deploymentRecordSchema,
  type InstanceRecord,
  instanceRecordSchema,
  type ReleaseRecord,
  releaseRecordSchema,
} from "../contracts/deployment.js";
import { refusal } from "../contracts/errors.js";
import type { Labels, Report } from "../contracts/instance.js";
import { parseKey } from "../contracts/keys.js";
import { matches, parseSelector } from "../contracts/selector.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { ActorHost } from "../runtime/actor.js";
import { Catalog } from "./catalog.js";
import { ClaimIndex } from "./claim-index.js";
import { Intake } from "./intake.js";
import { type MemberActor, type MemberSnapshot, Members } from "./members.js";
import { RollOuts } from "./roll-outs.js";
import { SilenceWatch } from "./silence-watch.js";
import type { Term } from "./term.js";
import { byAge } from "./views.js";
import { Writer } from "./writer.js";

/** Nobody is judged before this many report intervals after a takeover. */
const listenIntervals = 2;
/** Records taken over in one go, a few milliseconds: in between the lease is renewed, however large the fleet is. */
const recordsAtOnceMax = 200;

export interface LeaderParts {
  readonly fleet: string;
  readonly ledger: Ledger;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly host: ActorHost;
  readonly onWriteFailed: (error: unknown) => void;
}

/** Everything that a coordinator knows and does while it leads; made for one epoch and dropped with it. */
export class Leader {
  readonly term: Term;
  readonly members: Members;
  readonly rollOuts: RollOuts;
  readonly watch: SilenceWatch;
  readonly intake: Intake;
  readonly #ledger: Ledger;
  /** Unclaimed instances to which a finished deployment owes its version. */
  readonly #owed = new Map<string, string>();
  /** Instances on their way to what they were owed, by deployment. */
  readonly #converging = new Map<string, string>();
  #busStatus: Subscription | undefined;
  #convergeSoon: { cancel(): void } | undefined;
  #dropped: { readonly reason: unknown } | undefined;

  constructor(parts: LeaderParts) {
    const { fleet, ledger, leadership, clock, random, log, bus, host } = parts;
    this.#ledger = ledger;
    const index = new ClaimIndex((deployment) => this.rollOuts.touch(deployment));
    const writer = new Writer({
      leadership,
      clock,
      fleet,
      isBusy: () => host.stats.queued > 0,
      onFailed: parts.onWriteFailed,
    });
    this.term = {
      fleet,
      ledgerId: ledger.ledgerId,
      leadership,
      clock,
      random,
      log: log.child({ fleet, epoch: leadership.epoch }),
      bus,
      host,
      subjects: subjectsOf(fleet),
      catalog: new Catalog(),
      index,
      writer,
      nowMs: () => Math.round(leadership.ledgerNowMs()),
    };
    this.members = new Members(this.term, {
      onMember: (instance, snapshot) => this.#onMember(instance, snapshot),
    });
    this.watch = new SilenceWatch(
      clock,
      (instance) => this.members.find(instance)?.send({ type: "silent" }),
      () => this.rollOuts.touchAll(),
    );
    this.rollOuts = new RollOuts(this.term, this.members, {
      silence: () => this.silence(),
      judgeFromMs: this.term.nowMs() + listenIntervals * reportIntervalMs(0),
      onAlert: (code, message) => this.term.log.error({ code }, message),
      onFinished: (record) =>
        this.term.log.info({ deployment: record.id, outcome: record.outcome }, "a deployment is over"),
    });
    this.intake = new Intake(this.term, this.members, this.watch, (report) => this.#join(report));
  }

  silence(): Silence {
    const { index } = this.term;
    return this.watch.silence(
      this.term.nowMs(),
      (instance) => index.isInFlight(instance),
      index.inFlightCount(),
    );
  }

  /**
   * Reads the fleet's records and takes its members and deployments over, a few at a time.
   * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_CORRUPT`, `LEDGER_NEWER`; the reason of {@link drop}
   */
  async load(): Promise<void> {
    const entries = await this.#ledger.readAll();
    const deployments: DeploymentRecord[] = [];
    const instances: InstanceRecord[] = [];
    const { catalog } = this.term;
    for (const [index, entry] of entries.entries()) {
      await this.#letOthersRun(index);
      const kind = parseKey(entry.key)?.[0];
      if (kind === "release")
        keep(
          catalog.releases,
          this.#parse<ReleaseRecord>(entry, releaseRecordSchema),
          (record) => record.release.version,
        );
      else if (kind === "config")
        keep(
          catalog.configs,
          this.#parse<ConfigRecord>(entry, configRecordSchema),
          (record) => record.config.version,
        );
      else if (kind === "instance") instances.push(this.#parse<InstanceRecord>(entry, instanceRecordSchema));
      else if (kind === "deployment")
        deployments.push(this.#parse<DeploymentRecord>(entry, deploymentRecordSchema));
    }
    for (const [index, record] of instances.entries()) {
      await this.#letOthersRun(index);
      this.members.restore(record);
      this.watch.hear(record.id);
      this.#noteOwed(record);
    }
    for (const record of deployments.sort(byAge).reverse()) this.rollOuts.restore(record);
  }

  /** @throws the reason of {@link drop}, if it was dropped meanwhile */
  async #letOthersRun(index: number): Promise<void> {
    if (index % recordsAtOnceMax === recordsAtOnceMax - 1)
      await new Promise<void>((resolve) => this.term.clock.setTimer(0, resolve));
    if (this.#dropped !== undefined) throw this.#dropped.reason;
  }

  #parse<T>(entry: LedgerEntry, schema: z.ZodType<T>): T {
    const parsed = schema.safeParse(entry.value);
    if (parsed.success) return parsed.data;
    const found = (entry.value as { format?: unknown } | null)?.format;
    if (typeof found === "number" && found > 1)
      throw refusal("LEDGER_NEWER", { key: entry.key, found, known: 1 });
    throw refusal("LEDGER_CORRUPT", {
      fleet: this.term.fleet,
      key: entry.key,
      problem: parsed.error.issues[0]?.message,
    });
  }

  /** Begins to hear and to act. */
  lead(): void {
    this.watch.start();
    this.intake.start();
    this.#busStatus = this.term.bus.onStatus((status) => {
      if (status === "reconnected") this.watch.startAfresh();
    });
    this.rollOuts.touchAll();
  }

  /** Stops all of it; what waits for an answer gets `reason`. */
  drop(reason: unknown): void {
    this.#dropped ??= { reason };
    this.watch.stop();
    this.intake.stop();
    this.#busStatus?.unsubscribe();
    this.#convergeSoon?.cancel();
    this.term.writer.close(reason);
    this.rollOuts.stop(reason);
    this.members.stop(reason);
  }

  /** Takes an instance out of the fleet. */
  async remove(instance: string, why: string): Promise<void> {
    const claim = this.members.find(instance)?.snapshot().context.record.claim ?? null;
    const written = this.members.remove(instance, why);
    this.intake.forget(instance);
    this.#owed.delete(instance);
    this.#converging.delete(instance);
    if (claim !== null) this.rollOuts.noteLeft(claim.deployment, claim.hasFailed);
    await written;
  }

  /** Sends an event to a member and resolves when its state holds and the ledger has it. */
  tellMember(
    instance: string,
    event: MemberEvent,
    holds: (snapshot: MemberSnapshot) => boolean,
  ): Promise<void> {
    return this.members.ask(instance, event, holds);
  }

  /** How long ago an instance was heard of; `null` if not since this leader leads. */
  reportAgeMs(instance: string): number | null {
    return this.intake.heardAgoMs(instance);
  }

  #onMember(instance: string, snapshot: MemberSnapshot): void {
    const { record } = snapshot.context;
    this.#noteOwed(record);
    if (this.#converging.has(instance) && snapshot.value.update !== "IN_PROGRESS") {
      const deployment = this.#converging.get(instance);
      this.#converging.delete(instance);
      if (snapshot.value.update === "FAILED")
        this.term.log.error(
          { instance, deployment, code: "CONVERGENCE_FAILED" },
          "an instance failed on the version that it was owed",
        );
      this.#scheduleConvergence();
    }
    const { seen } = snapshot.context;
    if (seen !== null) this.term.index.noteProgress(instance, seen.state.phase, seen.state.progress);
  }

  #noteOwed(record: InstanceRecord): void {
    if (record.owed !== null && record.claim === null) {
      if (this.#owed.get(record.id) !== record.owed.deployment)
        this.#owed.set(record.id, record.owed.deployment);
      this.#scheduleConvergence();
    } else this.#owed.delete(record.id);
  }

  #scheduleConvergence(): void {
    if (this.#owed.size > 0) this.#convergeSoon ??= this.term.clock.setTimer(0, () => this.#converge());
  }

  /** Tells the next of what a finished deployment owes; silent ones are told when they are heard again. */
  #converge(): void {
    this.#convergeSoon = undefined;
    const inFlight = new Map<string, number>();
    for (const deployment of this.#converging.values())
      inFlight.set(deployment, (inFlight.get(deployment) ?? 0) + 1);
    const reachable = [...this.#owed]
      .filter(([instance]) => !this.#converging.has(instance) && isReachable(this.members.find(instance)))
      .map(([instance, deployment]) => ({ instance, deployment }));
    for (const { instance, deployment } of nextToConverge(
      reachable,
      inFlight,
      (id) => this.rollOuts.record(id)?.batch ?? 1,
    )) {
      const member = this.members.find(instance);
      const owed = member?.snapshot().context.record.owed;
      const spec = this.rollOuts.record(deployment)?.spec;
      if (member === undefined || !owed) continue;
      this.#converging.set(instance, deployment);
      member.send({
        type: "tell",
        deployment: null,
        target: owed.target,
        toldAtMs: 0,
        deadlineMs: spec?.deadlineMs ?? defaultDeadlineMs,
        minHealthyMs: spec?.minHealthyMs ?? 0,
      });
    }
  }

  /** A new instance gets what the newest completed roll-out for its labels brought, and its turn in a running one. */
  #join(report: Report): void {
    const { state } = report;
    if (state === undefined) return;
    const { instance: id, agent } = report;
    const record: InstanceRecord = {
      format: 1,
      id,
      agent,
      labels: state.labels,
      joinedAtMs: this.term.nowMs(),
      generation: 0,
      desired: null,
      stable: null,
      claim: null,
      last: null,
      owed: this.#owedToNew(state.labels),
      resetGeneration: 0,
    };
    const member = this.members.join(record);
    this.intake.accept(report);
    this.term.log.info({ instance: id, agent }, "an instance has joined");
    const running = this.#runningFor(state.labels);
    if (running === undefined) return;
    const target = targetFor(running.spec, record.owed?.target ?? null);
    if (target !== undefined)
      member.send({
        type: "claim",
        deployment: running.id,
        target,
        before: record.owed?.target ?? null,
        urgent: false,
        minHealthyMs: running.spec.minHealthyMs,
      });
  }

  #owedToNew(labels: Labels): InstanceRecord["owed"] {
    const undone = new Set<string>();
    for (const record of this.rollOuts.records())
      if (record.rollbackOf !== null && record.outcome !== "aborted") undone.add(record.rollbackOf);
    const newest = [...this.rollOuts.records()]
      .filter(
        (record) =>
          record.outcome === "completed" &&
          !undone.has(record.id) &&
          matches(parseSelector(record.spec.selector), labels),
      )
      .sort(byAge)[0];
    const target = newest && targetFor(newest.spec, null);
    return newest && target ? { deployment: newest.id, target } : null;
  }

  /** The oldest roll-out under way that would have taken an instance with these labels. */
  #runningFor(labels: Labels): DeploymentRecord | undefined {
    return [...this.rollOuts.records()]
      .filter(
        (record) =>
          record.stage === "running" &&
          record.rollbackOf === null &&
          record.retryOf === null &&
          matches(parseSelector(record.spec.selector), labels),
      )
      .sort(byAge)
      .at(-1);
  }
}

const defaultDeadlineMs = 900_000;

/** It was heard of, and not too long ago. */
function isReachable(member: MemberActor | undefined): boolean {
  const context = member?.snapshot().context;
  return context !== undefined && context.seen !== null && !context.silent;
}

function keep<T>(map: Map<string, T>, record: T, nameOf: (record: T) => string): void {
  map.set(nameOf(record), record);
}
