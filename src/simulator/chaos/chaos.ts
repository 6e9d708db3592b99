import { drawPlan } from "./draw-plan.js";
import type { Failure } from "./failure.js";
import { type Family, familiesOf } from "./families.js";
import { type LifeOptions, type LifeResult, live } from "./life.js";
import type { LifePlan } from "./life-plan.js";
import type { Mark } from "./marks.js";
import { type Shrunk, shrink } from "./shrink.js";

/** A life to live: the one that belongs to a seed, or the one of a plan. */
export type LifeOrder =
  | { readonly seed: string; readonly instancesMax: number | undefined }
  | { readonly plan: LifePlan };

/** What a life that was lived twice came to; plain data, so that a thread can tell another. */
export interface LifeReport {
  readonly seed: string;
  readonly failure: Failure | null;
  readonly marks: readonly Mark[];
  /** The kinds of faults that there were. */
  readonly families: readonly Family[];
  /** Messages, writes and effects. */
  readonly happened: number;
  /** Of one of the two lives. */
  readonly virtualMs: number;
  readonly digest: string;
}

/** Something that a thread does for a run of many lives. */
export type ChaosTask =
  | { readonly do: "live"; readonly order: LifeOrder }
  | { readonly do: "shrink"; readonly plan: LifePlan; readonly failure: Failure; readonly effortMax: number };

export type ChaosOutcome =
  | { readonly do: "live"; readonly report: LifeReport }
  | { readonly do: "shrink"; readonly shrunk: Shrunk };

/** Does tasks as long as `next` gives some, in whatever order they get done. */
export type ChaosPlayer = (
  next: () => ChaosTask | undefined,
  onDone: (outcome: ChaosOutcome, task: ChaosTask) => void,
) => Promise<void>;

export function planOf(order: LifeOrder): LifePlan {
  if ("plan" in order) return order.plan;
  const { seed, instancesMax } = order;
  return drawPlan(seed, instancesMax === undefined ? {} : { instancesMax });
}

export async function doChaosTask(task: ChaosTask): Promise<ChaosOutcome> {
  if (task.do === "live") return { do: "live", report: await liveTwice(planOf(task.order)) };
  const { plan, failure, effortMax } = task;
  return { do: "shrink", shrunk: await shrink(plan, failure, { effortMax }) };
}

/** One task after another, in this thread. */
export const doChaosHere: ChaosPlayer = async (next, onDone) => {
  for (let task = next(); task !== undefined; task = next()) onDone(await doChaosTask(task), task);
};

/** Lives a life twice: what it came to, which is a failure too if the second one was another. */
export async function liveTwice(plan: LifePlan, options: LifeOptions = {}): Promise<LifeReport> {
  const one = await live(plan, options);
  const other = await live(plan, options);
  const { failure, marks, happened, virtualMs, digest } = one;
  return {
    seed: plan.seed,
    failure: differenceOf(one, other) ?? failure,
    marks: [...marks],
    families: familiesOf(plan),
    happened,
    virtualMs,
    digest,
  };
}

/** How two lives of one plan differ; undefined if they do not. */
function differenceOf(one: LifeResult, other: LifeResult): Failure | undefined {
  if (one.digest === other.digest && one.failure?.id === other.failure?.id) return undefined;
  const parting = one.waypoints.findIndex(({ digest }, at) => digest !== other.waypoints[at]?.digest);
  const atMs = one.waypoints[(parting < 0 ? one.waypoints.length : parting) - 1]?.atMs ?? 0;
  const ended = [one, other].map(({ failure }) =>
    failure === null ? "went well" : `failed by ${failure.id}: ${failure.sentence}`,
  );
  return {
    trouble: "nondeterminism",
    id: "twice",
    sentence: `The second life of this plan is another one, from about this moment on. The first ${ended[0]}, the second ${ended[1]}.`,
    atMs,
  };
}
