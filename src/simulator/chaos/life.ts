import { assert } from "../../base/assert.js";
import { messageOf } from "../../base/errors.js";
import type { Log } from "../../base/ports.js";
import type { Passing } from "../../bus/memory-bus.js";
import type { Report } from "../../contracts/instance.js";
import { subjectsOf } from "../../contracts/subjects.js";
import type { AuditEvent } from "../../ledger/event-chain.js";
import { quietLog } from "../quiet-log.js";
import { SimulatedWorld } from "../world.js";
import type { Effect } from "./effect.js";
import type { Failure, Trouble } from "./failure.js";
import { Faults } from "./faults.js";
import { Fleet } from "./fleet.js";
import { type Invariant, type MakeInvariant, Violation, type Witness } from "./invariant.js";
import { makeInvariants } from "./invariants/all.js";
import { LedgerKeeper } from "./ledger-keeper.js";
import { LedgerMirror } from "./ledger-mirror.js";
import type { Happening, LifePlan } from "./life-plan.js";
import type { Mark } from "./marks.js";
import { nextFormats } from "./next-formats.js";
import { People } from "./people.js";
import { ReportLog } from "./reports.js";
import { Rest } from "./rest.js";
import { stirIn } from "./stillness.js";
import { Trace, type Waypoint } from "./trace.js";

export interface LifeResult {
  readonly failure: Failure | null;
  readonly marks: ReadonlySet<Mark>;
  readonly digest: string;
  readonly waypoints: readonly Waypoint[];
  /** Messages, writes and effects. */
  readonly happened: number;
  readonly virtualMs: number;
  /** The audit log as it stands at the end. */
  readonly events: readonly AuditEvent[];
}

/** Between two looks at whether the fleet has come to rest. */
const lookEveryMs = 1_000;
/** Between two looks of people at whether something still waits for them. */
const letGoEveryMs = 20_000;
/** So many reconciliations pass in stillness before it is believed. */
const stillReconciliations = 2;
/** A lease that nobody gives back, and a restore, tried again now and then. */
const restoreMaxMs = 120_000;
/** What has happened on a host is in the ledger after so long: health checks that fail in a row, a report, a write. */
const newsMs = 10_000;

export interface LifeOptions {
  /** More that must hold, or that only looks on. */
  readonly watchers?: readonly MakeInvariant[];
  /** It ends then at the latest, since its beginning; undefined: when it is over. */
  readonly untilMs?: number | undefined;
}

/** Lives a life to its end, or to the first thing that must not be. */
export async function live(plan: LifePlan, options: LifeOptions = {}): Promise<LifeResult> {
  return new Life(plan, options).live();
}

class Life {
  readonly #plan: LifePlan;
  readonly #world: SimulatedWorld;
  readonly #fleet: Fleet;
  readonly #faults: Faults;
  readonly #keeper: LedgerKeeper;
  readonly #ledger = new LedgerMirror();
  readonly #people: People;
  readonly #heard: ReportLog;
  readonly #invariants: readonly Invariant[];
  readonly #trace = new Trace();
  readonly #reports = new Map<string, Report>();
  readonly #healthPrefix: string;
  readonly #appsPrefix: string;
  readonly #marks = new Set<Mark>();
  readonly #startedAtMs: number;
  readonly #endsAtMs: number;
  #failure: Failure | null = null;
  /** Commands given since the fleet was to be still; `undefined` before. */
  #stirred: string | undefined;
  #mustBeStill = false;

  constructor(plan: LifePlan, { watchers = [], untilMs = Number.POSITIVE_INFINITY }: LifeOptions) {
    this.#plan = plan;
    this.#world = new SimulatedWorld({ seed: plan.seed, log: this.#log() });
    this.#startedAtMs = this.#world.clock.nowMs();
    this.#endsAtMs = this.#startedAtMs + untilMs;
    const { root } = subjectsOf(this.#world.fleet);
    this.#healthPrefix = `${root}.health.`;
    this.#appsPrefix = `${root}.apps.`;
    this.#fleet = new Fleet(this.#world, plan);
    this.#keeper = new LedgerKeeper(this.#fleet, {
      backsUp: () => this.#backsUp(),
      lost: () => {
        this.#ledger.clear();
        this.#run((invariant) => invariant.ledgerReplaced?.("lost"));
      },
      restored: () => this.#run((invariant) => invariant.ledgerReplaced?.("restored")),
    });
    this.#faults = new Faults(this.#fleet, () => this.#inFlight());
    this.#people = new People(this.#world, plan, this.#ledger);
    this.#people.onAnswered = (asked) => this.#run((invariant) => invariant.answered?.(asked));
    this.#heard = new ReportLog(this.#world.clock, this.#fleet.agents);
    const witness = this.#witness();
    this.#invariants = [...makeInvariants(witness), ...watchers.map((make) => make(witness))];
    this.#watch();
  }

  async live(): Promise<LifeResult> {
    const { clock } = this.#world;
    try {
      this.#fleet.start();
      await this.#until(() => this.#fleet.leader() !== undefined, 60_000, "nobody leads a new fleet");
      const pushed = this.#people.pushReleases();
      let arePushed = false;
      pushed.then(
        () => {
          arePushed = true;
        },
        (error: unknown) => this.#fail("crash", "releases", messageOf(error)),
      );
      await this.#until(() => arePushed, 60_000, "the releases cannot be pushed");
      const { happenings, faultsMs } = this.#plan;
      for (const happening of happenings)
        if (happening.atMs < faultsMs) clock.setTimer(happening.atMs, () => this.#perform(happening));
      await this.#pass(faultsMs);
      await this.#comeToRest();
    } catch (error) {
      if (error !== this.#stop) this.#fail("crash", "crash", stackOf(error));
    }
    return {
      failure: this.#failure,
      marks: this.#marks,
      digest: this.#trace.digest(),
      waypoints: this.#trace.waypoints,
      happened: this.#trace.length,
      virtualMs: clock.nowMs() - this.#startedAtMs,
      events: this.#world.store.events(this.#world.fleet),
    };
  }

  // Safety, then liveness, then stillness

  async #comeToRest(): Promise<void> {
    this.#faults.endAll();
    this.#fleet.calm();
    this.#run((invariant) => invariant.faultsOver?.());
    await this.#until(() => !this.#keeper.isAtWork, restoreMaxMs, "the ledger is not restored");
    this.#people.letGo(this.#fleet.agents);
    await this.#untilRest();
    // What was on its way to be heard, and what the first reconciliation finds, is put right once more.
    await this.#pass(this.#plan.reconcileEveryMs + newsMs);
    await this.#untilRest();
    this.#run((invariant) => invariant.atRest?.());
    this.#mustBeStill = true;
    await this.#pass(stillReconciliations * this.#plan.reconcileEveryMs);
    if (this.#stirred !== undefined) this.#fail("liveness", "L3", `at rest, ${this.#stirred}`);
  }

  async #untilRest(): Promise<void> {
    const { clock } = this.#world;
    const beganAtMs = clock.nowMs();
    const rest = new Rest(this.#witness(), this.#startedAtMs);
    for (;;) {
      await this.#pass(lookEveryMs);
      if (rest.unrest() === undefined) return;
      const late = rest.late();
      const sinceMs = Math.round(clock.nowMs() - beganAtMs);
      if (late !== undefined) {
        this.#fail("liveness", late.id, `after ${sinceMs} ms without faults ${late.sentence}`);
        throw this.#stop;
      }
      if (sinceMs % letGoEveryMs < lookEveryMs) this.#people.letGo(this.#fleet.agents);
    }
  }

  #perform(happening: Happening): void {
    const struck = this.#begin(happening);
    this.#run((invariant) => invariant.happens?.(happening, struck));
  }

  /** @returns the names of the processes that it strikes */
  #begin(happening: Happening): readonly string[] {
    switch (happening.do) {
      case "deploy":
      case "act":
      case "reset":
      case "misuse":
      case "reconcile":
      case "remove":
      case "app":
      case "appForget":
        this.#people.wish(happening);
        return [];
      case "backup":
        this.#keeper.backUp();
        return [];
      case "replaceLedger":
        return this.#keeper.replace(happening);
      case "relabel":
        return this.#fleet.relabel(happening.instance, happening.labels);
      case "newHost":
        this.#world.clock.setTimer(happening.takeoverAfterMs, () =>
          this.#people.takeOver(this.#fleet.agents),
        );
        return this.#faults.begin(happening);
      default:
        return this.#faults.begin(happening);
    }
  }

  #inFlight(): string | undefined {
    for (const { id, claim } of this.#ledger.instances.values()) if (claim?.state === "told") return id;
    return undefined;
  }

  // Time

  /** What ends the life when something has failed. */
  readonly #stop = new Error("the life is over");

  async #pass(byMs: number): Promise<void> {
    const { clock } = this.#world;
    const untilMs = clock.monotonicMs() + byMs;
    await clock.runUntil(() => this.#each() || clock.monotonicMs() >= untilMs, { limitMs: byMs });
    if (this.#isOver) throw this.#stop;
  }

  async #until(condition: () => boolean, limitMs: number, sentence: string): Promise<void> {
    const { clock } = this.#world;
    const untilMs = clock.monotonicMs() + limitMs;
    await clock.runUntil(() => this.#each() || condition() || clock.monotonicMs() >= untilMs, { limitMs });
    if (!this.#isOver && !condition()) this.#fail("liveness", "L2", sentence);
    if (this.#isOver) throw this.#stop;
  }

  /** @returns whether the life is over */
  #each(): boolean {
    this.#run((invariant) => invariant.each?.());
    return this.#isOver;
  }

  get #isOver(): boolean {
    return this.#failure !== null || this.#world.clock.nowMs() >= this.#endsAtMs;
  }

  // Watching

  #watch(): void {
    const { hub, store, clock } = this.#world;
    hub.tap({
      sent: (passing) => {
        this.#trace.sent(clock.nowMs(), passing);
        this.#run((invariant) => invariant.sent?.(passing));
        if (passing.subject.endsWith(".mend")) this.#stir(`${passing.from} asks for something to be mended`);
        this.#noteReport(passing);
        this.#noteAppReport(passing);
      },
      taking: (passing, by) => this.#run((invariant) => invariant.taking?.(passing, by)),
      taken: (passing, by) => {
        this.#heard.taken(passing, by);
        this.#run((invariant) => invariant.taken?.(passing, by));
      },
    });
    store.observe({
      stored: (batch, revision) => {
        const commit = this.#ledger.take(clock.nowMs(), batch, revision);
        this.#trace.stored(commit);
        this.#stir(stirIn(commit));
        this.#run((invariant) => invariant.committed?.(commit));
      },
      refused: (seen, kind) => this.#run((invariant) => invariant.refused?.(seen, kind)),
    });
    this.#fleet.apps.onEnabled = (node, app) => {
      this.#stir(`${node.id} enables ${app.app}`);
      this.#run((invariant) => invariant.appEnabled?.(node, app));
    };
    this.#fleet.onEffect = (effect: Effect) => {
      this.#trace.done(effect);
      this.#stir(`${effect.instance} does something: ${effect.what}`);
      this.#run((invariant) => invariant.done?.(effect));
    };
  }

  #noteReport(passing: Passing): void {
    const { from, subject, data } = passing;
    if (!subject.startsWith(this.#healthPrefix)) return;
    const read = nextFormats.report.read(JSON.parse(new TextDecoder().decode(data)));
    assert("record" in read, "an agent sends what is a report");
    const { instance, agent } = read.record;
    // What a second agent says of the name is of another machine.
    if (this.#fleet.agents.get(instance)?.agentId === agent) {
      this.#reports.set(instance, read.record);
      this.#heard.sent(passing, read.record);
    }
    this.#run((invariant) => invariant.reported?.(read.record, from));
  }

  #noteAppReport({ from, subject, data }: Passing): void {
    if (!subject.startsWith(this.#appsPrefix)) return;
    const read = nextFormats["app-report"].read(JSON.parse(new TextDecoder().decode(data)));
    assert("record" in read, "an instance sends what is a report about apps");
    this.#run((invariant) => invariant.appReported?.(read.record, from));
  }

  #backsUp(): () => void {
    const taken: (() => void)[] = [];
    this.#run((invariant) => {
      const done = invariant.backsUp?.();
      if (done !== undefined) taken.push(done);
    });
    return () => {
      for (const done of taken) done();
    };
  }

  #stir(what: string | undefined): void {
    if (this.#mustBeStill) this.#stirred ??= what;
  }

  #run(hook: (invariant: Invariant) => void): void {
    for (const invariant of this.#invariants) {
      if (this.#failure !== null) return;
      try {
        hook(invariant);
      } catch (error) {
        if (error instanceof Violation) this.#fail("correctness", invariant.id, error.message);
        else this.#fail("crash", invariant.id, stackOf(error));
      }
    }
  }

  #witness(): Witness {
    const { clock } = this.#world;
    return {
      plan: this.#plan,
      nowMs: () => clock.nowMs(),
      ledger: this.#ledger,
      coordinators: this.#fleet.coordinators,
      agents: this.#fleet.agents,
      apps: this.#fleet.apps.nodes,
      gone: this.#fleet.gone,
      hosts: this.#fleet.hosts,
      reports: this.#reports,
      asked: this.#people.asked,
      heard: this.#heard,
      disturbedAtMs: () => this.#faults.disturbedAtMs(),
      isCutOff: (bus) => this.#faults.isCutOff(bus),
      reconnectedAtMs: (bus) => this.#fleet.reconnectedAtMs(bus),
      mark: (mark) => void this.#marks.add(mark),
    };
  }

  #fail(trouble: Trouble, id: string, sentence: string): void {
    const atMs = this.#world.clock.nowMs() - this.#startedAtMs;
    this.#failure ??= { trouble, id, sentence, atMs };
  }

  /** What is logged as an error and is not an alert that a person is meant to see is a defect. */
  #log(): Log {
    const log: Log = {
      ...quietLog,
      error: (facts, sentence) => {
        if (!isExpected(facts, sentence)) this.#fail("crash", "log", `${sentence} ${JSON.stringify(facts)}`);
      },
      child: () => log,
    };
    return log;
  }
}

function isExpected(facts: object, sentence: string): boolean {
  return (
    ("code" in facts &&
      /^(DEPLOYMENT_FAILED|ROLLBACK_FAILED|CONVERGENCE_FAILED|PROGRESS_DEADLINE)$/.test(
        String(facts.code),
      )) ||
    /could not be saved|disk of memory is full|records could not be read|coordinator cannot lead|apps could not be disabled in time/.test(
      `${sentence} ${"error" in facts ? String(facts.error) : ""}`,
    )
  );
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
