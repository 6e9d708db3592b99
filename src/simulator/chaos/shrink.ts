import { type Failure, kindOf } from "./failure.js";
import { type LifeResult, live } from "./life.js";
import type { Happening, LifePlan, Temper } from "./life-plan.js";

export interface Shrunk {
  /** The smallest that was found and fails in the same way. */
  readonly plan: LifePlan;
  readonly failure: Failure;
  /** So many were lived to find it. */
  readonly lives: number;
}

export interface ShrinkOptions {
  /** The search ends once so much has happened in all the lives that were tried. */
  readonly effortMax: number;
  /** How a plan is tried; by living it, unless told. */
  readonly attempt?: Attempt;
}

/** @param untilMs it need not be lived any longer; undefined: to its end */
type Attempt = (
  plan: LifePlan,
  options: { readonly untilMs: number | undefined },
) => Promise<Pick<LifeResult, "failure" | "happened">>;

/** What is left out may put a failure off for so long. */
const graceMs = 60_000;

/**
 * Makes a plan that fails smaller while it fails in the same way: fewer happenings, fewer processes and releases, a shorter time,
 * simpler happenings. The same plan gives the same smaller one.
 */
export async function shrink(plan: LifePlan, failure: Failure, options: ShrinkOptions): Promise<Shrunk> {
  return new Shrinker(plan, failure, options).shrink();
}

class Shrinker {
  readonly #kind: string;
  readonly #effortMax: number;
  readonly #attempt: Attempt;
  readonly #tried = new Set<string>();
  #plan: LifePlan;
  #failure: Failure;
  #lives = 0;
  #effort = 0;

  constructor(plan: LifePlan, failure: Failure, { effortMax, attempt = live }: ShrinkOptions) {
    this.#plan = plan;
    this.#failure = failure;
    this.#kind = kindOf(failure);
    this.#effortMax = effortMax;
    this.#attempt = attempt;
    this.#tried.add(JSON.stringify(plan));
  }

  async shrink(): Promise<Shrunk> {
    await this.#cutTail();
    for (let before: LifePlan | undefined; before !== this.#plan; ) {
      before = this.#plan;
      // What makes lives cheap first.
      await this.#fewer("coordinators", 1);
      await this.#fewer("instances", 1);
      await this.#fewer("appInstances", 0);
      await this.#fewer("apps", 0);
      await this.#fewer("happenings", 0);
      await this.#fewer("releases", 1);
      await this.#shorter();
      await this.#simpler();
    }
    return { plan: this.#plan, failure: this.#failure, lives: this.#lives };
  }

  /** Whether a fleet comes to rest is known at the end only. */
  get #untilMs(): number | undefined {
    const { trouble, atMs } = this.#failure;
    return trouble === "liveness" ? undefined : atMs + graceMs;
  }

  /** @returns whether it fails in the same way, and is the plan from now on */
  async #try(changes: Partial<LifePlan>): Promise<boolean> {
    const plan = { ...this.#plan, ...changes };
    const text = JSON.stringify(plan);
    if (this.#tried.has(text) || this.#effort >= this.#effortMax) return false;
    this.#tried.add(text);
    this.#lives++;
    const { failure, happened } = await this.#attempt(plan, { untilMs: this.#untilMs });
    this.#effort += happened;
    if (failure === null || kindOf(failure) !== this.#kind) return false;
    this.#plan = plan;
    this.#failure = failure;
    return true;
  }

  /** What comes after the failure has not happened. */
  async #cutTail(): Promise<void> {
    const { atMs: endMs } = this.#failure;
    await this.#try({ happenings: this.#plan.happenings.filter(({ atMs }) => atMs <= endMs) });
  }

  /** Leaves out half of them, then quarters, and in the end one by one. */
  async #fewer(
    what: "happenings" | "instances" | "coordinators" | "releases" | "apps" | "appInstances",
    min: number,
  ): Promise<void> {
    let size = Math.ceil(this.#plan[what].length / 2);
    while (size >= 1) {
      for (let at = 0; at < this.#plan[what].length; ) {
        const rest = this.#plan[what].filter((_, nth) => nth < at || nth >= at + size);
        const isLeftOut = this.#plan[what].length - size >= min && (await this.#try({ [what]: rest }));
        if (!isLeftOut) at += size;
      }
      size = Math.floor(size / 2);
    }
  }

  /** Less time passes between what happens, and after it. */
  async #shorter(): Promise<void> {
    for (let at = 0; at < this.#plan.happenings.length; at++)
      for (const gapMs of [1_000, this.#gapMs(at) / 2]) await this.#closeUp(at, Math.round(gapMs));
    const lastMs = this.#plan.happenings.at(-1)?.atMs ?? 0;
    for (const afterMs of [1_000, (this.#plan.faultsMs - lastMs) / 2]) {
      const faultsMs = lastMs + Math.round(afterMs);
      if (faultsMs < this.#plan.faultsMs) await this.#try({ faultsMs });
    }
  }

  #gapMs(at: number): number {
    const { happenings } = this.#plan;
    return (happenings[at]?.atMs ?? 0) - (happenings[at - 1]?.atMs ?? 0);
  }

  async #closeUp(at: number, gapMs: number): Promise<void> {
    const byMs = this.#gapMs(at) - gapMs;
    if (byMs <= 0) return;
    const moved = (happening: Happening, nth: number) =>
      nth < at ? happening : { ...happening, atMs: happening.atMs - byMs };
    const { happenings, faultsMs } = this.#plan;
    await this.#try({ happenings: happenings.map(moved), faultsMs: faultsMs - byMs });
  }

  async #simpler(): Promise<void> {
    await this.#simplerEach("happenings", simplerHappenings);
    await this.#simplerEach("releases", simplerTempers);
    await this.#simplerEach("coordinators", ({ driftPpm, isNext }) => [
      ...(driftPpm === 0 ? [] : [{ driftPpm: 0 }]),
      ...(isNext ? [{ isNext: false }] : []),
    ]);
    await this.#simplerEach("instances", ({ driftPpm, labels }) => [
      ...(driftPpm === 0 ? [] : [{ driftPpm: 0 }]),
      ...(Object.keys(labels).length === 0 ? [] : [{ labels: {} }]),
    ]);
  }

  async #simplerEach<K extends "happenings" | "instances" | "coordinators" | "releases">(
    what: K,
    simplerOf: (item: LifePlan[K][number]) => readonly object[],
  ): Promise<void> {
    for (let at = 0; at < this.#plan[what].length; at++) {
      let refused = 0;
      for (;;) {
        const all: readonly LifePlan[K][number][] = this.#plan[what];
        const item = all[at];
        if (item === undefined) break;
        const change = simplerOf(item)[refused];
        if (change === undefined) break;
        const items = all.with(at, Object.assign(structuredClone(item), change));
        if (!(await this.#try({ [what]: items }))) refused++;
      }
    }
  }
}

/** What of a happening may be put in place of what it says, for a simpler one. */
const plainest: Readonly<Record<string, unknown>> = {
  which: 0,
  instance: 0,
  deployment: 0,
  release: 0,
  selector: null,
  batch: 1,
  failureThreshold: 1,
  rollback: "auto",
  share: 1,
  labels: {},
};

function simplerHappenings(happening: Happening): object[] {
  const changes: object[] = [];
  for (const [name, value] of Object.entries(happening)) {
    const plain = plainest[name];
    if (plain !== undefined && JSON.stringify(plain) !== JSON.stringify(value))
      changes.push({ [name]: plain });
    if (name === "forMs" || name === "ms")
      changes.push(...lessThan(Number(value), [1_000]).map((ms) => ({ [name]: ms })));
  }
  return changes;
}

function simplerTempers(temper: Temper): object[] {
  const changes: object[] = [];
  for (const name of ["fails", "hangs", "unhealthy", "sickens", "crashes", "flaky"] as const)
    if (temper[name] > 0) changes.push({ [name]: 0 });
  for (const name of ["minHealthyMs", "slowMs"] as const)
    changes.push(...lessThan(temper[name], [0]).map((ms) => ({ [name]: ms })));
  changes.push(...lessThan(temper.deadlineMs, [10_000]).map((deadlineMs) => ({ deadlineMs })));
  return changes;
}

/** Round values below one, and its half. */
function lessThan(value: number, round: readonly number[]): number[] {
  return [...round, Math.round(value / 2)].filter((less) => less < value && less >= (round[0] ?? 0));
}
