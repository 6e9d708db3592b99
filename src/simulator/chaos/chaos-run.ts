import {
  type ChaosOutcome,
  type ChaosPlayer,
  type ChaosTask,
  type LifeOrder,
  type LifeReport,
  planOf,
} from "./chaos.js";
import { type Failure, kindOf } from "./failure.js";
import type { Family } from "./families.js";
import type { LifePlan } from "./life-plan.js";
import type { Mark } from "./marks.js";
import type { Shrunk } from "./shrink.js";

/** A life that failed. */
export interface Finding {
  readonly order: LifeOrder;
  readonly report: LifeReport;
  readonly failure: Failure;
  /** As it was drawn, or given. */
  readonly plan: LifePlan;
  /** Undefined unless it was made smaller: the first one of its kind is. */
  shrunk: Shrunk | undefined;
}

/** More are counted only. */
const findingsMax = 100;

/** What many lives came to. */
export class ChaosTally {
  lives = 0;
  failures = 0;
  /** Of each life once, though it was lived twice. */
  virtualMs = 0;
  happened = 0;
  /** Lives in which a mark was reached. */
  readonly marks = new Map<Mark, number>();
  /** Lives in which there were such faults. */
  readonly families = new Map<Family, number>();

  take({ failure, virtualMs, happened, marks, families }: LifeReport): void {
    this.lives++;
    if (failure !== null) this.failures++;
    this.virtualMs += virtualMs;
    this.happened += happened;
    for (const mark of marks) this.marks.set(mark, (this.marks.get(mark) ?? 0) + 1);
    for (const family of families) this.families.set(family, (this.families.get(family) ?? 0) + 1);
  }
}

/** A run of many lives: all of them first, then the first failing one of each kind is made smaller. */
export class ChaosRun {
  readonly tally = new ChaosTally();
  /** Those that failed, in the order of their seeds once the run is over. */
  readonly findings: Finding[] = [];

  /**
   * @param orders taken one after another while the run goes on
   * @param onLife told of each life
   */
  async live(
    orders: Iterator<LifeOrder>,
    play: ChaosPlayer,
    onLife: (finding?: Finding) => void,
  ): Promise<void> {
    const next = (): ChaosTask | undefined => {
      const { done, value } = orders.next();
      return done === true ? undefined : { do: "live", order: value };
    };
    await play(next, (outcome, task) => onLife(this.#take(outcome, task)));
    this.findings.sort((a, b) => Number(a.report.seed) - Number(b.report.seed));
  }

  /** Makes the first one of each kind of failure smaller. @param options how much may happen in search of each */
  async shrink(play: ChaosPlayer, options: { readonly effortMax: number }): Promise<void> {
    const kinds = new Map<string, Finding>();
    for (const finding of this.findings)
      if (!kinds.has(kindOf(finding.failure))) kinds.set(kindOf(finding.failure), finding);
    const waiting = [...kinds.values()];
    const busy = new Map<ChaosTask, Finding>();
    const next = (): ChaosTask | undefined => {
      const finding = waiting.shift();
      if (finding === undefined) return undefined;
      const task: ChaosTask = { do: "shrink", plan: finding.plan, failure: finding.failure, ...options };
      busy.set(task, finding);
      return task;
    };
    await play(next, (outcome, task) => {
      const finding = busy.get(task);
      if (finding !== undefined && outcome.do === "shrink") finding.shrunk = outcome.shrunk;
    });
  }

  #take(outcome: ChaosOutcome, task: ChaosTask): Finding | undefined {
    if (outcome.do !== "live" || task.do !== "live") return undefined;
    const { report } = outcome;
    this.tally.take(report);
    if (report.failure === null || this.findings.length >= findingsMax) return undefined;
    const { order } = task;
    const finding = { order, report, failure: report.failure, plan: planOf(order), shrunk: undefined };
    this.findings.push(finding);
    return finding;
  }
}
