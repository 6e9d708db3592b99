import type { Bus, Clock, Timer } from "../base/ports.js";
import type { DesiredInstance } from "../contracts/instance.js";
import { instanceOfSubject, subjectsOf } from "../contracts/subjects.js";
import { openLedgerReader } from "../ledger/ledger-reader.js";
import type { Crew, CrewControl, CrewParts } from "./crew.js";
import { fateOf } from "./fate.js";
import { type Member, newVersion, oldVersion, standInAgent } from "./members.js";
import type { RehearsalPlan } from "./plan.js";
import { type Standing, Voice } from "./voice.js";

/** What the agent waits before it tells of a change. */
const coalesceMs = 20;
/** Between the stop of one process and the first answer of the next. */
const swapMs = 25;
const reportIntervalMs = 2_000;
/** Checks while a service starts come at least so often. */
const startCheckMs = 1_000;
const checkAnswerMs = 5;
/** The old version has run for a while when the rehearsal begins. */
const ranForMs = 3_600_000;

/** How long after the start of its process a service that is never healthy has failed. */
function unhealthyAfterMs({ healthCheck }: RehearsalPlan): number {
  const { intervalMs, retries, startPeriodMs } = healthCheck;
  const startingMs = Math.min(intervalMs, startCheckMs) + checkAnswerMs;
  const firstCounted = Math.max(0, Math.ceil((startPeriodMs - checkAnswerMs) / startingMs)) * startingMs;
  return firstCounted + (retries - 1) * (intervalMs + checkAnswerMs);
}

interface StandInParts {
  readonly plan: RehearsalPlan;
  readonly clock: Clock;
  readonly bus: Bus;
  readonly subject: string;
  readonly fates: CrewParts["fates"];
  readonly ledgerId: string;
  readonly onRan: (instance: string) => void;
  /** Reports that say nothing new are sent. */
  readonly beats: boolean;
}

const healthyOnOld: Standing = {
  health: "HEALTHY",
  reason: null,
  running: pairOf(oldVersion),
  phase: "ACTIVE",
  progress: 100,
};

/**
 * An instance as its coordinator sees it: it reports what a real agent would report, at the times at which that
 * would, by the same fates. It has no files, no processes and no machine.
 */
class StandIn {
  readonly #parts: StandInParts;
  readonly #member: Member;
  readonly #voice: Voice;
  #standing = healthyOnOld;
  #generation = 1;
  #minHealthyMs = 0;
  #goodSinceMs: number | null;
  /** What `current` would point at. */
  #current: string | null = oldVersion;
  /** The old process has made room for the new one. */
  #swapped = false;
  #updates = 0;
  #sentAtMs = 0;
  #intervalMs = reportIntervalMs;
  #mutedAtMs: number | null = null;
  #work: Timer | undefined;
  #soon: Timer | undefined;
  #soak: Timer | undefined;
  #beat: Timer | undefined;

  constructor(parts: StandInParts, member: Member) {
    this.#parts = parts;
    this.#member = member;
    const { bus, subject, ledgerId } = parts;
    const { id: instance, labels } = member;
    this.#voice = new Voice({ bus, subject: `${subject}${instance}`, instance, labels, ledgerId });
    this.#goodSinceMs = parts.clock.monotonicMs() - ranForMs;
  }

  /** When it reported last, or would have. */
  unsentAtMs(): number {
    const now = this.#mutedAtMs ?? this.#parts.clock.monotonicMs();
    const beats = Math.floor((now - this.#sentAtMs) / this.#intervalMs);
    return this.#sentAtMs + beats * this.#intervalMs;
  }

  asked(intervalMs: number | undefined): void {
    if (intervalMs !== undefined) this.#intervalMs = intervalMs;
    this.report(true);
  }

  take(desired: DesiredInstance): void {
    if (desired.generation <= this.#generation || this.#mutedAtMs !== null) return;
    const { clock } = this.#parts;
    this.#work?.cancel();
    this.#generation = desired.generation;
    this.#minHealthyMs = desired.minHealthyMs;
    const target = desired.run?.release.version ?? null;
    if (target === null) this.#stop();
    else if (target === this.#current) this.#serveAgain();
    else this.#update(target, clock.monotonicMs());
  }

  report(whole: boolean): void {
    if (this.#mutedAtMs !== null) return;
    const { clock, beats } = this.#parts;
    this.#soon?.cancel();
    this.#soon = undefined;
    this.#sentAtMs = clock.monotonicMs();
    const isGood = this.#standing.health === "HEALTHY" && this.#goodSinceMs !== null;
    const healthyForMs = isGood ? Math.floor(Math.max(0, this.#sentAtMs - (this.#goodSinceMs ?? 0))) : 0;
    const said = { agent: standInAgent, observedGeneration: this.#generation, healthyForMs };
    this.#voice.report(this.#standing, said, whole);
    if (!beats) return;
    this.#beat?.cancel();
    this.#beat = clock.setTimer(this.#intervalMs, () => this.report(false));
  }

  #update(target: string, nowMs: number): void {
    const { plan, clock, fates } = this.#parts;
    const isNew = target === newVersion;
    const fate = fateOf(plan, fates, { instance: this.#member.id, nth: ++this.#updates, isNew });
    this.#swapped = false;
    // What ran and has failed is not spoken of while something newer is on its way.
    const health = this.#goodSinceMs === null ? "UNKNOWN" : "HEALTHY";
    this.#change({ phase: "PULLING_SOURCE", progress: 0, reason: null, health });
    if (fate.silentAfterMs !== null) clock.setTimer(fate.silentAfterMs, () => this.#fallSilent());
    if (fate.failure === "hangs") this.#workFor(plan.stuckMs, () => this.#fail("PHASE_STUCK", false));
    else if (fate.failure === "build") this.#workFor(fate.buildMs, () => this.#fail("BUILD_FAILED", false));
    else {
      const readyMs = Math.max(swapMs, fate.updateMs);
      this.#workFor(readyMs, () => {
        this.#swapped = true;
        if (isNew) this.#parts.onRan(this.#member.id);
        if (fate.failure === "unhealthy") this.#prove(unhealthyAfterMs(plan));
        else this.#serve(target, nowMs + readyMs, fate.failure === "flaps" ? fate.flapsAfterMs : null);
      });
    }
  }

  #prove(failsAfterMs: number): void {
    this.#goodSinceMs = null;
    this.#change({ phase: "HEALTH_CHECK", health: "UNKNOWN", running: null });
    this.#workFor(failsAfterMs, () => this.#fail("HEALTH_CHECK_FAILED", true));
  }

  #workFor(ms: number, done: () => void): void {
    this.#work = this.#parts.clock.setTimer(ms, () => {
      this.#work = undefined;
      done();
    });
  }

  #serve(version: string, sinceMs: number, failsAfterMs: number | null): void {
    this.#goodSinceMs = sinceMs;
    this.#current = version;
    this.#change({ phase: "ACTIVE", progress: 100, health: "HEALTHY", running: pairOf(version) });
    this.#armSoak();
    if (failsAfterMs !== null)
      this.#workFor(failsAfterMs, () => {
        this.#goodSinceMs = null;
        const reason = reasonOf("PROCESS_EXITED");
        this.#change({ phase: "FAILED", health: "FAILED", running: null, reason });
      });
  }

  /** What failed is gone, and what ran before serves, if it was stopped again. */
  #fail(code: string, restarted: boolean): void {
    if (restarted) this.#goodSinceMs = this.#parts.clock.monotonicMs() + swapMs;
    this.#swapped = false;
    this.#change({
      phase: "FAILED",
      health: "FAILED",
      reason: reasonOf(code),
      running: pairOf(this.#current),
    });
  }

  /** It is told what it runs already. */
  #serveAgain(): void {
    if (this.#swapped) this.#goodSinceMs = this.#parts.clock.monotonicMs() + 2 * swapMs;
    this.#swapped = false;
    this.#change({
      phase: "ACTIVE",
      progress: 100,
      health: "HEALTHY",
      reason: null,
      running: pairOf(this.#current),
    });
    this.#armSoak();
  }

  #stop(): void {
    this.#goodSinceMs = null;
    this.#current = null;
    this.#change({ phase: "STOPPED", running: null, health: "UNKNOWN", reason: null });
  }

  #fallSilent(): void {
    this.#mutedAtMs = this.#parts.clock.monotonicMs();
    for (const timer of [this.#soon, this.#soak, this.#beat]) timer?.cancel();
  }

  #change(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change };
    this.#soak?.cancel();
    if (this.#mutedAtMs !== null) return;
    this.#soon ??= this.#parts.clock.setTimer(coalesceMs, () => this.report(false));
  }

  /** The moment at which it has been healthy for as long as is asked. */
  #armSoak(): void {
    const { clock } = this.#parts;
    const inMs = (this.#goodSinceMs ?? 0) + this.#minHealthyMs - clock.monotonicMs();
    if (inMs <= 0) return;
    this.#soak = clock.setTimer(inMs, () => {
      this.#soak = undefined;
      this.report(false);
    });
  }
}

function pairOf(version: string | null) {
  return version === null ? null : { release: version, config: null };
}

function reasonOf(code: string) {
  return { code, message: "so it was drawn" };
}

/** Instances without agents: what a rehearsal of many runs or many instances is made of. */
export class StandIns implements Crew {
  readonly #parts: CrewParts;
  readonly #beats: boolean;
  readonly #standIns = new Map<string, StandIn>();

  /** `beats`: reports that say nothing new are sent too, as real agents do. */
  constructor(parts: CrewParts, options: { beats?: boolean } = {}) {
    this.#parts = parts;
    this.#beats = options.beats ?? false;
  }

  unsentAtMs = (instance: string): number | undefined =>
    this.#beats ? undefined : this.#standIns.get(instance)?.unsentAtMs();

  async start({ ledgerId }: CrewControl): Promise<void> {
    const { world, plan, members, fates, listener } = this.#parts;
    const { clock, fleet } = world;
    const subjects = subjectsOf(fleet);
    const bus = world.hub.connect(standInAgent);
    const shared: StandInParts = {
      plan,
      clock,
      bus,
      subject: subjects.health(""),
      fates,
      ledgerId,
      onRan: (instance) => listener.onRan(instance),
      beats: this.#beats,
    };
    for (const member of members) this.#standIns.set(member.id, new StandIn(shared, member));
    // As this very program has written it: whether it is what an agent reads, real agents say.
    openLedgerReader(bus, fleet).watch("desired.instance.*", ({ value }) => {
      const desired = value as DesiredInstance | undefined;
      if (desired !== undefined) this.#standIns.get(desired.instance)?.take(desired);
    });
    bus.subscribe(subjects.ask("*", "report"), ({ subject, data }) => {
      const { intervalMs } = JSON.parse(new TextDecoder().decode(data)) as { intervalMs?: number };
      this.#standIns.get(instanceOfSubject(subject) ?? "")?.asked(intervalMs);
    });
    const spread = world.random.fork("first-reports");
    for (const standIn of this.#standIns.values())
      clock.setTimer(reportIntervalMs * spread.unit(), () => standIn.report(true));
    await clock.advance(reportIntervalMs);
  }
}
