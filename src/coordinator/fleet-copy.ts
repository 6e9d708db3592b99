import { deploymentFromRecord } from "../../machines/deployment-record.js";
import { messageOf, RollcallError } from "../base/errors.js";
import type {
  Bus,
  BusStatus,
  Clock,
  Ledger,
  LedgerEntry,
  LedgerFollower,
  Log,
  Subscription,
} from "../base/ports.js";
import type { LedgerPlace } from "../contracts/answer-source.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import type { Report } from "../contracts/instance.js";
import { keys, parseKey } from "../contracts/keys.js";
import type { Formats } from "../contracts/record-formats.js";
import { subjectsOf } from "../contracts/subjects.js";
import { CopiedApps } from "./apps/copied-apps.js";
import type { KnownApps } from "./apps/known-apps.js";
import { Catalog } from "./catalog.js";
import { ClaimIndex } from "./claim-index.js";
import { CopiedMember } from "./copied-member.js";
import { type CopiedChange, type CopiedLease, CopiedRecords } from "./copied-records.js";
import { isOfApps } from "./fleet-records.js";
import { Intake } from "./intake.js";
import type { KnownDeployment, KnownFleet } from "./known-fleet.js";
import { type MemberState, standingOf } from "./members.js";
import { PlaceWaiters } from "./place-waiters.js";
import { SilenceWatch } from "./silence-watch.js";

/** Agents say their whole state with every tenth report at the latest. */
const wholeWithinIntervals = 11;
/** After so many everybody has reported once. */
const backAfterIntervals = 1.5;
/** Reports of instances whose records have not come yet. */
const earlyMax = 10_000;
/** A stamp that is so far behind is no late one: the clock was set. */
const clockJumpMs = 5_000;

export interface FleetCopyParts {
  readonly fleet: string;
  readonly ledger: Pick<Ledger, "ledgerId" | "restoredFrom" | "follow" | "watch" | "get">;
  readonly clock: Clock;
  readonly bus: Pick<Bus, "subscribe" | "publish" | "onStatus">;
  readonly log: Log;
  readonly formats: Formats;
  /** Whoever held the lease has given it back, or let it end. */
  readonly onLeaseFree: () => void;
}

/**
 * The fleet as a follower sees it: the leader's records by following the ledger, and what instances say by hearing it
 * itself. It decides nothing, writes nothing and asks instances for nothing but their apps; a report that repeats what is known costs it what it costs
 * the leader.
 */
export class FleetCopy implements KnownFleet, LedgerFollower {
  readonly fleet: string;
  readonly catalog = new Catalog();
  readonly #parts: FleetCopyParts;
  readonly #log: Log;
  readonly #intake: Intake;
  readonly #watch: SilenceWatch;
  readonly #apps: CopiedApps;
  readonly #index = new ClaimIndex();
  readonly #members = new Map<string, CopiedMember>();
  readonly #deployments = new Map<string, DeploymentRecord>();
  readonly #early = new Map<string, Report>();
  readonly #waiters: PlaceWaiters;
  readonly #subscriptions: Subscription[] = [];
  /** What is answered from, and what is being read in its place. */
  #records: CopiedRecords | undefined;
  #loading: { readonly records: CopiedRecords; readonly changes: Map<string, CopiedChange> } | undefined;
  /** Ledger time at a moment of the monotonic clock, as of the newest change that came at once. */
  #time: { readonly ledgerMs: number; readonly monotonicMs: number } | undefined;
  #inStepAtMs: number | undefined;
  #problem: string | undefined;
  /** What is told now has a gap, or cannot be understood; until it begins anew. */
  #isBroken = false;
  /** Members whose state is not the newest. */
  #unknown = 0;
  #listensSinceMs = 0;
  #isBack = false;

  constructor(parts: FleetCopyParts) {
    const { fleet, clock, bus, log, formats } = parts;
    this.fleet = fleet;
    this.#parts = parts;
    this.#log = log.child({ fleet, part: "copy" });
    this.#waiters = new PlaceWaiters(clock, () => this.place);
    // The leader takes out of the fleet who was away for too long.
    this.#watch = new SilenceWatch(clock, {
      onSilent: (instance) => this.#members.get(instance)?.send({ type: "silent" }),
      onLook: () => {
        this.#early.clear();
        this.#intake.sweep();
      },
      isInFlight: (instance) => this.#index.isInFlight(instance),
      inFlightCount: () => this.#index.inFlightCount(),
    });
    const ledgerId = () => this.ledger().ledgerId;
    this.#apps = new CopiedApps({ ...parts, log: this.#log }, this);
    const place = {
      clock,
      bus,
      log: this.#log,
      subjects: subjectsOf(fleet),
      get ledgerId() {
        return ledgerId();
      },
      formats: { known: formats, writtenOf: () => formats.report.oldest },
    };
    this.#intake = new Intake(place, {
      members: { find: (instance) => this.#members.get(instance) },
      watch: this.#watch,
      onJoin: (report) => this.#keepEarly(report),
      // Only a leader asks; what was missed comes by itself before long.
      ask: () => undefined,
      onMissed: (instance) => this.#members.get(instance)?.outdate(),
    });
  }

  start(): void {
    const { ledger, bus } = this.#parts;
    this.#listensSinceMs = this.#parts.clock.monotonicMs();
    this.#watch.start();
    this.#intake.start();
    this.#apps.start();
    this.#subscriptions.push(
      bus.onStatus((status) => this.#onStatus(status)),
      ledger.follow(this),
    );
  }

  stop(): void {
    this.#watch.stop();
    this.#intake.stop();
    this.#apps.stop();
    for (const subscription of this.#subscriptions.splice(0)) subscription.unsubscribe();
    this.#waiters.stop();
  }

  get apps(): KnownApps {
    return this.#apps.known;
  }

  /** What it shows; `undefined` until it has everything for the first time. */
  get place(): LedgerPlace | undefined {
    const records = this.#records;
    return records && { ledgerId: records.ledger.ledgerId, revision: records.revision };
  }

  /** Since it was last known to have all that the ledger has, milliseconds. */
  ageMs(): number {
    const now = this.#parts.clock.monotonicMs();
    return Math.round(now - (this.#inStepAtMs ?? this.#listensSinceMs));
  }

  get lease(): CopiedLease | undefined {
    return this.#records?.lease;
  }

  /** Why it cannot follow the ledger now, a sentence; `undefined` while it can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** It has every record, and the state of every instance that speaks. */
  get isWhole(): boolean {
    return this.#records !== undefined && this.unheard() === 0;
  }

  /** Instances whose state has not been heard here yet; 0 once all that speak had the time to say it. */
  unheard(): number {
    const { intervalMs } = this.#watch;
    const sinceMs = this.#parts.clock.monotonicMs() - this.#listensSinceMs;
    if (sinceMs > wholeWithinIntervals * intervalMs) return 0;
    // What anybody said while this was away is known by what they say next.
    const unknown =
      this.#isBack && sinceMs < backAfterIntervals * intervalMs ? this.#members.size : this.#unknown;
    return unknown + this.#apps.unheard();
  }

  /** Waits until it shows at least that much. @returns false if it does not within the time, or shows another ledger */
  reaches(place: LedgerPlace, withinMs: number): Promise<boolean> {
    return this.#waiters.reached(place, withinMs);
  }

  ledger(): Pick<Ledger, "ledgerId" | "restoredFrom"> {
    return this.#records?.ledger ?? this.#parts.ledger;
  }

  /** It writes nothing. */
  broken(): undefined {
    return undefined;
  }

  leader(): string | null {
    return this.lease?.holder ?? null;
  }

  epoch(): number {
    return this.#records?.epoch ?? 0;
  }

  nowMs(): number {
    const { clock } = this.#parts;
    if (this.#time === undefined) return clock.nowMs();
    return Math.round(this.#time.ledgerMs + clock.monotonicMs() - this.#time.monotonicMs);
  }

  asOfMs(): number {
    return this.nowMs() - this.ageMs();
  }

  *members(): Iterable<MemberState> {
    for (const member of this.#members.values()) yield member.snapshot();
  }

  member(instance: string): MemberState | undefined {
    return this.#members.get(instance)?.snapshot();
  }

  reportAgeMs(instance: string): number | null {
    return this.#intake.heardAgoMs(instance);
  }

  deployments(): Iterable<DeploymentRecord> {
    return this.#deployments.values();
  }

  deployment(id: string): KnownDeployment | undefined {
    const record = this.#deployments.get(id);
    if (record === undefined) return undefined;
    const nowMs = this.nowMs();
    const isOver = record.stage === "finished";
    return {
      state: deploymentFromRecord(record, nowMs, 0),
      observed: isOver ? null : this.#index.observe(id, record.batch, this.#watch.silence(nowMs)),
      isWritten: true,
    };
  }

  began(): void {
    const { fleet, formats } = this.#parts;
    const changes = new Map<string, CopiedChange>();
    const records = new CopiedRecords({
      fleet,
      known: formats,
      onBatch: (batch) => {
        if (this.#records === records) for (const change of batch) this.#apply(change);
        else for (const change of batch) changes.set(change.key, change);
      },
    });
    this.#loading = { records, changes };
    this.#isBroken = false;
  }

  entry(entry: LedgerEntry): void {
    if (this.#isBroken) return;
    const records = this.#loading?.records ?? this.#records;
    try {
      records?.take(entry);
    } catch (error) {
      if (!(error instanceof RollcallError)) throw error;
      this.failed(error);
      return;
    }
    if (this.#loading === undefined) {
      this.#noteTime(entry.writtenAtMs);
      if (entry.key === keys.lease && entry.value === undefined) this.#parts.onLeaseFree();
    }
    this.#waiters.look();
  }

  inStep(): void {
    if (this.#isBroken) return;
    this.#problem = undefined;
    const loading = this.#loading;
    if (loading !== undefined) {
      loading.records.endBatch();
      this.#loading = undefined;
      this.#takeOver(loading.records, loading.changes);
    }
    this.#inStepAtMs = this.#parts.clock.monotonicMs();
    this.#waiters.look();
  }

  failed(problem: RollcallError): void {
    if (this.#problem === undefined)
      this.#log.warn({ code: problem.code, problem: messageOf(problem) }, "the ledger cannot be followed");
    this.#problem = problem.message;
    this.#isBroken = true;
  }

  /** The whole ledger was read: what is not in it is no more, what is as it was stays. */
  #takeOver(records: CopiedRecords, changes: ReadonlyMap<string, CopiedChange>): void {
    const isSame = this.#records?.ledger.ledgerId === records.ledger.ledgerId;
    // What instances said is judged by the ledger that there is.
    if (!isSame) for (const id of [...this.#members.keys()]) this.#removeMember(id);
    this.#records = records;
    this.catalog.clear();
    this.#apps.beginAnew(isSame);
    const instances = new Set<string>();
    const deployments = new Set<string>();
    for (const change of changes.values()) {
      const { found, revision } = change;
      if (found?.kind === "instance") {
        instances.add(found.record.id);
        if (this.#members.get(found.record.id)?.revision === revision) continue;
      }
      if (found?.kind === "deployment") deployments.add(found.record.id);
      this.#apply(change);
    }
    for (const id of this.#members.keys()) if (!instances.has(id)) this.#removeMember(id);
    for (const id of this.#deployments.keys()) if (!deployments.has(id)) this.#removeDeployment(id);
  }

  #apply({ key, revision, found }: CopiedChange): void {
    const [kind = "", name = ""] = parseKey(key) ?? [];
    if (found === undefined) {
      if (kind === "instance") this.#removeMember(name);
      else if (kind === "deployment") this.#removeDeployment(name);
      else if (kind === "release") this.catalog.releases.delete(name);
      else if (kind === "config") this.catalog.configs.delete(name);
      else this.#apps.remove(kind, name);
    } else if (isOfApps(found)) this.#apps.put(found);
    else if (found.kind === "instance") this.#writeMember(found.record, revision);
    else if (found.kind === "deployment") {
      this.#deployments.set(found.record.id, found.record);
      if (found.record.stage === "finished") this.#index.forget(found.record.id);
    } else this.catalog.put(found);
  }

  #writeMember(record: CopiedMember["context"]["record"], revision: number): void {
    const known = this.#members.get(record.id);
    if (known !== undefined) {
      if (record.agent !== known.context.record.agent) this.#intake.forget(record.id);
      known.write(record, revision);
      return;
    }
    const member = new CopiedMember(record, revision, (changed, wasKnown) =>
      this.#onMember(changed, wasKnown),
    );
    this.#members.set(record.id, member);
    this.#watch.hear(record.id);
    this.#onMember(member, true);
    const early = this.#early.get(record.id);
    if (early === undefined) return;
    this.#early.delete(record.id);
    this.#intake.accept(early);
  }

  #removeMember(id: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    if (!member.isKnown) this.#unknown--;
    this.#members.delete(id);
    this.#index.remove(id);
    this.#intake.forget(id);
  }

  #removeDeployment(id: string): void {
    this.#deployments.delete(id);
    this.#index.forget(id);
  }

  #onMember(member: CopiedMember, wasKnown: boolean): void {
    this.#unknown += Number(wasKnown) - Number(member.isKnown);
    const { context, id } = member;
    this.#index.update(id, standingOf(context));
  }

  #keepEarly(report: Report): void {
    if (this.#early.size < earlyMax) this.#early.set(report.instance, report);
  }

  #onStatus(status: BusStatus): void {
    if (status === "disconnected") {
      this.#watch.goDeaf();
      this.#apps.goDeaf();
    }
    if (status !== "reconnected") return;
    this.#listensSinceMs = this.#parts.clock.monotonicMs();
    this.#isBack = true;
    this.#watch.startAfresh();
    this.#apps.listenAfresh();
  }

  /** Changes come at once: the newest stamp is the time, but for what it took to come. */
  #noteTime(writtenAtMs: number): void {
    const offMs = writtenAtMs - this.nowMs();
    if (this.#time !== undefined && offMs < 0 && offMs > -clockJumpMs) return;
    this.#time = { ledgerMs: writtenAtMs, monotonicMs: this.#parts.clock.monotonicMs() };
  }
}
