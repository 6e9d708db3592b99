import { byAge } from "../../machines/deployment-order.js";
import { targetFor } from "../../machines/deployment-request.js";
import { reportIntervalMs } from "../../machines/liveness.js";
import type { MemberEvent } from "../../machines/member.js";
import { minHealthyMsOf } from "../../machines/member-record.js";
import { firstToHear } from "../../machines/takeover.js";
import { messageOf } from "../base/errors.js";
import type { Bus, Clock, Leadership, Ledger, Log, Random, Subscription } from "../base/ports.js";
import type { DeploymentRecord, InstanceRecord } from "../contracts/deployment.js";
import type { Labels, Report } from "../contracts/instance.js";
import { keys } from "../contracts/keys.js";
import { byClock, byCoordinator, byReport, byRule, type Origin } from "../contracts/origin.js";
import type { Formats } from "../contracts/record-formats.js";
import { matches, parseSelector } from "../contracts/selector.js";
import { subjectsOf } from "../contracts/subjects.js";
import type { ActorHost } from "../runtime/actor.js";
import { type AppsOptions, LeaderApps } from "./apps/leader-apps.js";
import { Catalog } from "./catalog.js";
import { ClaimIndex } from "./claim-index.js";
import { Convergence } from "./convergence.js";
import { freshCounters } from "./counters.js";
import { type AskPeers, FleetFormats } from "./fleet-formats.js";
import { fleetRecordIn, isOfApps } from "./fleet-records.js";
import { noteLeading } from "./hand-over.js";
import { type HowToReport, Intake } from "./intake.js";
import { type MemberSnapshot, Members } from "./members.js";
import { Reconciliation } from "./reconciliation.js";
import type { CoordinatorFiles } from "./reconciliation-facts.js";
import { RollOuts } from "./roll-outs.js";
import type { SelfWatch } from "./self-watch.js";
import { SilenceWatch } from "./silence-watch.js";
import type { Term } from "./term.js";
import { whoseWord } from "./whose-word.js";
import { Writer } from "./writer.js";

/** Twice what a fleet is made for; more are refused, lest a program that makes names up fills the memory. */
const instancesMax = 200_000;
/** Nobody is judged before this many report intervals after a takeover. */
const listenIntervals = 2;
/** Instances that a new leader asks to report at once; their answers come together. */
const askedFirstMax = 500;
const reconcileEveryDefaultMs = 3_600_000;
/** Records taken over in one go, a few milliseconds: in between the lease is renewed, however large the fleet is. */
const recordsAtOnceMax = 200;

/**
 * When an instance would have reported last, had it not left out what says nothing new (monotonic milliseconds). For rehearsals,
 * where nearly all reports of a fleet are such.
 */
export type UnsentReports = (instance: string) => number | undefined;

export interface LeaderParts {
  readonly fleet: string;
  readonly ledger: Ledger;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bus: Bus;
  readonly host: ActorHost;
  readonly formats: Formats;
  readonly askPeers: AskPeers;
  /** The store of release files, for reconciliations. */
  readonly files?: CoordinatorFiles | undefined;
  /** Between two reconciliations. Default: an hour. */
  readonly reconcileEveryMs?: number | undefined;
  readonly apps?: AppsOptions | undefined;
  readonly unsentAtMs?: UnsentReports | undefined;
  /** Of the process: it outlives the leadership. */
  readonly selfWatch: SelfWatch;
  /** What is known may differ from the ledger; at most once. */
  readonly onFailed: (error: unknown) => void;
}

/** Everything that a coordinator knows and does while it leads; made for one epoch and dropped with it. */
export class Leader {
  readonly term: Term;
  readonly members: Members;
  readonly rollOuts: RollOuts;
  readonly watch: SilenceWatch;
  readonly intake: Intake;
  readonly reconciliation: Reconciliation;
  readonly apps: LeaderApps;
  readonly selfWatch: SelfWatch;
  readonly #ledger: Ledger;
  readonly #convergence: Convergence;
  #busStatus: Subscription | undefined;
  #judgeFromMs: number;
  #loadedRevision = 0;
  #dropped: { readonly reason: unknown } | undefined;

  constructor(parts: LeaderParts) {
    const { fleet, ledger, leadership, clock, random, log, bus, host } = parts;
    this.#ledger = ledger;
    this.selfWatch = parts.selfWatch;
    const index = new ClaimIndex({
      onChange: (deployment) => this.rollOuts.looks.noteChange(deployment),
      onMoved: (deployment) => this.rollOuts.looks.noteMoved(deployment),
      onWritten: (deployment) => this.rollOuts.looks.noteWritten(deployment),
    });
    const formats = new FleetFormats({
      id: leadership.holder,
      formats: parts.formats,
      askPeers: parts.askPeers,
      clock,
      log: parts.log,
    });
    const writer = new Writer({
      leadership,
      clock,
      toStore: (key, record, formatMax) => formats.toStore(key, record, formatMax),
      isBusy: () => host.stats.queued > 0,
      onWriting: (puts, deletes) =>
        parts.selfWatch.writing({ puts, deletes, inFlightOf: (id) => index.inFlightOf(id) }),
      onWritten: (revision) => parts.selfWatch.written(revision),
      onFailed: (error) => this.term.fail(error),
    });
    this.term = {
      fleet,
      ledgerId: ledger.ledgerId,
      restoredFrom: ledger.restoredFrom,
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
      formats,
      counters: freshCounters(),
      fail: (error) => {
        if (this.#dropped !== undefined) return;
        this.drop(error);
        parts.onFailed(error);
      },
      nowMs: () => Math.round(leadership.ledgerNowMs()),
      ownOrigin: byCoordinator(leadership.holder, leadership.epoch),
    };
    this.#judgeFromMs = this.#afterListening();
    this.members = new Members(this.term, {
      onMember: (instance, snapshot) => this.#onMember(instance, snapshot),
    });
    this.watch = new SilenceWatch(clock, {
      onSilent: (instance) => this.members.find(instance)?.send({ type: "silent" }),
      onGone: (instance) => this.#forgetGone(instance),
      onStall: () => this.#listenAfresh(),
      onLook: () => {
        this.intake.sweep();
        this.rollOuts.touchAll();
      },
      isInFlight: (instance) => index.isInFlight(instance),
      inFlightCount: () => index.inFlightCount(),
      unsentAtMs: (instance) => parts.unsentAtMs?.(instance),
    });
    this.rollOuts = new RollOuts(this.term, this.members, {
      silence: () => this.watch.silence(this.term.nowMs()),
      judgeFromMs: () => this.#judgeFromMs,
      onAlert: (code, message) => this.term.log.error({ code }, message),
      onFinished: (record) => {
        this.term.log.info({ deployment: record.id, outcome: record.outcome }, "a deployment is over");
        this.#convergence.review();
      },
    });
    this.#convergence = new Convergence(this.term, this.members, this.rollOuts, () => this.#judgeFromMs);
    this.reconciliation = new Reconciliation(
      { term: this.term, members: this.members, rollOuts: this.rollOuts, ledger, files: parts.files },
      parts.reconcileEveryMs ?? reconcileEveryDefaultMs,
    );
    this.apps = new LeaderApps(this.term, parts.apps ?? {});
    this.intake = new Intake(this.term, {
      members: this.members,
      watch: this.watch,
      onJoin: (report) => this.#join(report),
      ask: (instance, how) => this.#askToReport(instance, how),
    });
  }

  /**
   * Reads the fleet's records and takes its members and deployments over, a few at a time.
   * @throws RollcallError `LEDGER_UNAVAILABLE`, `LEDGER_CORRUPT`, `LEDGER_NEWER`, `LEDGER_OLDER`; the reason of {@link drop}
   */
  async load(): Promise<void> {
    const entries = await this.#ledger.readAll();
    for (const { revision } of entries) this.#loadedRevision = Math.max(this.#loadedRevision, revision);
    const deployments: DeploymentRecord[] = [];
    const instances: InstanceRecord[] = [];
    const { catalog, fleet, formats } = this.term;
    formats.load(fleet, entries.find(({ key }) => key === keys.formats)?.value);
    for (const [index, entry] of entries.entries()) {
      await this.#letOthersRun(index);
      const found = fleetRecordIn({ fleet, known: formats.known }, entry);
      if (found === undefined) continue;
      if (isOfApps(found)) this.apps.load(found);
      else if (found.kind === "instance") instances.push(found.record);
      else if (found.kind === "deployment") deployments.push(found.record);
      else catalog.put(found);
    }
    const { epoch } = this.term.leadership;
    const revision = this.#loadedRevision;
    this.selfWatch.loaded({ ledgerId: this.term.ledgerId, epoch, revision }, deployments, instances);
    for (const [index, record] of instances.entries()) {
      await this.#letOthersRun(index);
      const member = this.members.restore(record);
      this.watch.hear(record.id);
      this.#convergence.see(record.id, member.snapshot());
    }
    for (const record of deployments.sort(byAge).reverse()) this.rollOuts.restore(record);
    for (const { id, claim } of instances) if (claim !== null) this.#releaseOrphan(id, claim.deployment);
  }

  /** A claim of a deployment that is over, and that nobody takes over, would keep the instance for ever. */
  #releaseOrphan(instance: string, deployment: string): void {
    if (this.rollOuts.isOwner(deployment)) return;
    this.term.log.warn({ instance, deployment }, "a claim of a deployment that is over is ended");
    this.members.command(instance, { type: "release", completed: false, origin: this.term.ownOrigin });
  }

  /** @throws the reason of {@link drop}, if it was dropped meanwhile */
  async #letOthersRun(index: number): Promise<void> {
    if (index % recordsAtOnceMax === recordsAtOnceMax - 1)
      await new Promise<void>((resolve) => this.term.clock.setTimer(0, resolve));
    if (this.#dropped !== undefined) throw this.#dropped.reason;
  }

  /** Of the ledger, that it shows: what is durable. */
  get revision(): number {
    return Math.max(this.#loadedRevision, this.term.writer.revision);
  }

  /** Begins to hear and to act. */
  lead(): void {
    noteLeading(this.term);
    this.#listenAfresh();
    this.watch.start();
    this.intake.start();
    this.intake.askFirst(firstToHear(this.members.records(), askedFirstMax));
    this.apps.lead();
    this.#convergence.start();
    this.reconciliation.start();
    this.term.formats.start(this.term.writer, this.term.ownOrigin);
    this.#busStatus = this.term.bus.onStatus((status) => {
      if (status === "disconnected") this.#goDeaf();
      if (status === "reconnected") this.#listenAfresh();
    });
    this.rollOuts.touchAll();
  }

  /** Stops all of it; what waits for an answer gets `reason`. */
  drop(reason: unknown): void {
    if (this.#dropped !== undefined) return;
    this.#dropped = { reason };
    this.watch.stop();
    this.intake.stop();
    this.apps.stop();
    this.#busStatus?.unsubscribe();
    this.#convergence.stop();
    this.reconciliation.stop();
    this.term.formats.stop();
    this.term.writer.close(reason);
    this.rollOuts.stop(reason);
    this.members.stop(reason);
  }

  /** After a takeover, a reconnect or a stall nobody is judged by what was not heard. */
  #listenAfresh(): void {
    this.#judgeFromMs = this.#afterListening();
    this.watch.startAfresh();
    this.apps.listenAfresh();
    this.rollOuts.touchAll();
  }

  #goDeaf(): void {
    this.#judgeFromMs = Number.MAX_SAFE_INTEGER;
    this.watch.goDeaf();
    this.apps.goDeaf();
    this.rollOuts.touchAll();
  }

  #afterListening(): number {
    return this.term.nowMs() + listenIntervals * reportIntervalMs(this.members?.size ?? 0);
  }

  /** Takes an instance out of the fleet. */
  async remove(instance: string, why: string, origin: Origin): Promise<void> {
    const claim = this.members.find(instance)?.snapshot().context.record.claim ?? null;
    const written = this.members.remove(instance, why, origin);
    this.intake.forget(instance);
    this.#convergence.forget(instance);
    if (claim !== null) this.rollOuts.noteLeft(claim.deployment, claim.hasFailed, origin);
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

  #askToReport(instance: string, how: HowToReport): void {
    const { bus, subjects, leadership, ledgerId } = this.term;
    const ask = { epoch: leadership.epoch, ledgerId, ...how };
    bus.publish(subjects.ask(instance, "report"), JSON.stringify(ask));
  }

  #onMember(instance: string, snapshot: MemberSnapshot): void {
    this.#convergence.see(instance, snapshot);
    const { seen } = snapshot.context;
    if (seen === null) return;
    const { phase, progress, note } = seen.state;
    const { phaseAgeMs: stillForMs } = seen;
    const { record } = snapshot.context;
    // Of what it runs still, or for longer than was asked, it says nothing.
    const isOnIt = seen.observedGeneration >= record.generation;
    const healthyForMs = isOnIt ? Math.min(seen.healthyForMs, minHealthyMsOf(record)) : 0;
    const said = { at: `${phase} ${progress} ${note}`, stillForMs, healthyForMs };
    this.term.index.noteProgress(instance, said, this.term.clock.monotonicMs());
  }

  #forgetGone(instance: string): void {
    this.term.log.warn({ instance }, "an instance was not heard for a day and is taken out of the fleet");
    this.remove(instance, "it was not heard for a day", byClock("gone", "silence")).catch((error: unknown) =>
      this.term.log.debug({ instance, error: messageOf(error) }, "its leaving was not written"),
    );
  }

  /** A new instance gets what the newest completed roll-out for its labels brought, and its turn in a running one. */
  #join(report: Report): void {
    const { state } = report;
    if (state === undefined) return;
    if (this.members.size >= instancesMax) {
      this.intake.refuse(report, `the fleet has ${instancesMax} instances already and takes no more`);
      return;
    }
    const { instance: id, agent } = report;
    const owed = this.#convergence.dueTo(state.labels, whoseWord(report, this.term.ledgerId));
    const record: InstanceRecord = {
      format: 1,
      id,
      agent,
      labels: state.labels,
      joinedAtMs: this.term.nowMs(),
      // It may have been in the fleet before, and still acts on what it was told then.
      generation: report.observedGeneration,
      desired: null,
      stable: null,
      claim: null,
      last: null,
      owed,
      resetGeneration: 0,
    };
    this.members.join(record, byReport(report));
    this.intake.accept(report);
    this.term.log.info({ instance: id, agent }, "an instance has joined");
    const running = this.#runningFor(state.labels);
    const before = owed?.target ?? null;
    const target = running === undefined ? undefined : targetFor(running.spec, before);
    if (running === undefined || target === undefined) return;
    this.members.command(id, {
      type: "claim",
      deployment: running.id,
      target,
      before,
      urgent: false,
      minHealthyMs: running.spec.minHealthyMs,
      origin: byRule("rollout", running.id),
    });
  }

  /** The oldest roll-out under way that would have taken an instance with these labels. */
  #runningFor(labels: Labels): DeploymentRecord | undefined {
    return [...this.rollOuts.active()]
      .filter(
        (record) =>
          (record.stage === "preparing" || record.stage === "running") &&
          record.rollbackOf === null &&
          record.retryOf === null &&
          matches(parseSelector(record.spec.selector), labels),
      )
      .sort(byAge)
      .at(-1);
  }
}
