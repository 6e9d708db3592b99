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
import { Faults } from "./faults.js";
import { Fleet } from "./fleet.js";
import { type Invariant, Violation, type Witness } from "./invariant.js";
import { makeInvariants } from "./invariants/all.js";
import { LedgerMirror } from "./ledger-mirror.js";
import type { Happening, LifePlan } from "./life-plan.js";
import type { Mark } from "./marks.js";
import { nextFormats } from "./next-formats.js";
import { People } from "./people.js";
import { ReportLog } from "./reports.js";
import { Rest } from "./rest.js";
import { stirIn } from "./stillness.js";
import { Trace } from "./trace.js";

/** How a life went wrong, by the exit code that says so. */
export type Trouble =
  /** Something did not hold that must hold at every moment. */
  | "correctness"
  /** The fleet did not come to rest in time, or did not stay there. */
  | "liveness"
  /** Something threw, or was logged as an error. */
  | "crash"
  /** The same plan gave another life. */
  | "nondeterminism";

export interface Failure {
  readonly trouble: Trouble;
  /** Of the invariant, `S4`. */
  readonly id: string;
  readonly sentence: string;
  /** Since the beginning. */
  readonly atMs: number;
}

export interface LifeResult {
  readonly failure: Failure | null;
  readonly marks: ReadonlySet<Mark>;
  readonly digest: string;
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
const stillReconciliations = 3;

/** Lives a life to its end, or to the first thing that must not be. */
export async function live(plan: LifePlan): Promise<LifeResult> {
  return new Life(plan).live();
}

class Life {
  readonly #plan: LifePlan;
  readonly #world: SimulatedWorld;
  readonly #fleet: Fleet;
  readonly #faults: Faults;
  readonly #ledger = new LedgerMirror();
  readonly #people: People;
  readonly #heard: ReportLog;
  readonly #invariants: readonly Invariant[];
  readonly #trace = new Trace();
  readonly #reports = new Map<string, Report>();
  readonly #healthPrefix: string;
  readonly #marks = new Set<Mark>();
  readonly #startedAtMs: number;
  #failure: Failure | null = null;
  /** Commands given since the fleet was to be still; `undefined` before. */
  #stirred: string | undefined;
  #mustBeStill = false;

  constructor(plan: LifePlan) {
    this.#plan = plan;
    this.#world = new SimulatedWorld({ seed: plan.seed, log: this.#log() });
    this.#startedAtMs = this.#world.clock.nowMs();
    this.#healthPrefix = `${subjectsOf(this.#world.fleet).root}.health.`;
    this.#fleet = new Fleet(this.#world, plan);
    this.#faults = new Faults(this.#fleet);
    this.#people = new People(this.#world, plan, this.#ledger);
    this.#people.onAnswered = (asked) => this.#run((invariant) => invariant.answered?.(asked));
    this.#heard = new ReportLog(this.#world.clock, this.#fleet.agents);
    this.#invariants = makeInvariants(this.#witness());
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
      for (const happening of this.#plan.happenings)
        clock.setTimer(happening.atMs, () => this.#perform(happening));
      await this.#pass(this.#plan.faultsMs);
      await this.#comeToRest();
    } catch (error) {
      if (error !== this.#stop) this.#fail("crash", "crash", stackOf(error));
    }
    return {
      failure: this.#failure,
      marks: this.#marks,
      digest: this.#trace.digest(),
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
    this.#people.letGo();
    const { clock } = this.#world;
    const endedAtMs = clock.nowMs();
    const rest = new Rest(this.#witness(), this.#startedAtMs);
    for (;;) {
      await this.#pass(lookEveryMs);
      if (rest.unrest() === undefined) break;
      const late = rest.late();
      const sinceMs = Math.round(clock.nowMs() - endedAtMs);
      if (late !== undefined) {
        this.#fail("liveness", late.id, `after ${sinceMs} ms without faults ${late.sentence}`);
        throw this.#stop;
      }
      if (sinceMs % letGoEveryMs < lookEveryMs) this.#people.letGo();
    }
    this.#run((invariant) => invariant.atRest?.());
    this.#mustBeStill = true;
    await this.#pass(stillReconciliations * this.#plan.reconcileEveryMs);
    if (this.#stirred !== undefined) this.#fail("liveness", "L3", `at rest, ${this.#stirred}`);
  }

  #perform(happening: Happening): void {
    switch (happening.do) {
      case "deploy":
      case "act":
      case "reset":
      case "misuse":
      case "reconcile":
      case "remove":
        this.#people.wish(happening);
        break;
      case "relabel":
        this.#fleet.relabel(happening.instance, happening.labels);
        break;
      default:
        this.#faults.begin(happening);
        break;
    }
  }

  // Time

  /** What ends the life when something has failed. */
  readonly #stop = new Error("the life is over");

  async #pass(byMs: number): Promise<void> {
    const { clock } = this.#world;
    const untilMs = clock.nowMs() + byMs;
    // A timer of its own, so that time gets there though nothing is due.
    await clock
      .runUntil(() => this.#each() || clock.nowMs() >= untilMs, { limitMs: byMs })
      .catch(() => undefined);
    if (this.#failure !== null) throw this.#stop;
  }

  async #until(condition: () => boolean, limitMs: number, sentence: string): Promise<void> {
    const { clock } = this.#world;
    const untilMs = clock.nowMs() + limitMs;
    await clock.runUntil(() => this.#each() || condition() || clock.nowMs() >= untilMs, { limitMs });
    if (this.#failure === null && !condition()) this.#fail("liveness", "L2", sentence);
    if (this.#failure !== null) throw this.#stop;
  }

  /** @returns whether the life is over */
  #each(): boolean {
    this.#run((invariant) => invariant.each?.());
    return this.#failure !== null;
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
      },
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
    this.#reports.set(read.record.instance, read.record);
    this.#heard.sent(passing, read.record);
    this.#run((invariant) => invariant.reported?.(read.record, from));
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
      gone: this.#fleet.gone,
      hosts: this.#fleet.hosts,
      reports: this.#reports,
      asked: this.#people.asked,
      heard: this.#heard,
      disturbedAtMs: () => this.#faults.disturbedAtMs(),
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
      /^(DEPLOYMENT_FAILED|ROLLBACK_FAILED|CONVERGENCE_FAILED)$/.test(String(facts.code))) ||
    /could not be saved|disk of memory is full|records could not be read|coordinator cannot lead/.test(
      `${sentence} ${"error" in facts ? String(facts.error) : ""}`,
    )
  );
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
