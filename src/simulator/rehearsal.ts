import { instancesIn, type RehearsalPlan, strategiesOf } from "./plan.js";
import { type RunResult, rehearseOnce } from "./rehearse.js";
import { type Summary, summaryOf } from "./summary.js";

/** One run of one strategy, by its place in the plan. */
export interface Task {
  readonly strategy: number;
  readonly run: number;
}

/**
 * Plays tasks, in whatever order and wherever: each depends on the plan and itself alone.
 * @returns the results in the order of the tasks
 */
export type Player = (
  plan: RehearsalPlan,
  tasks: readonly Task[],
  onDone: () => void,
) => Promise<readonly RunResult[]>;

/** What a rehearsal says. */
export interface Rehearsal {
  readonly plan: RehearsalPlan;
  readonly instances: number;
  /** The plan's own strategy first, then the alternatives. */
  readonly strategies: readonly Summary[];
  /** Run by run, for each strategy. */
  readonly results: readonly (readonly RunResult[])[];
}

/** Plays one task here. */
export async function playTask(plan: RehearsalPlan, { strategy, run }: Task): Promise<RunResult> {
  const chosen = strategiesOf(plan)[strategy] ?? plan.strategy;
  return (await rehearseOnce({ plan, strategy: chosen, run })).result;
}

/** Plays one after another, in this thread. */
export const playHere: Player = async (plan, tasks, onDone) => {
  const results: RunResult[] = [];
  for (const task of tasks) {
    results.push(await playTask(plan, task));
    onDone();
  }
  return results;
};

/** @param onProgress told how many of all runs are done */
export async function rehearse(
  plan: RehearsalPlan,
  play: Player,
  onProgress: (done: number, all: number) => void = () => undefined,
): Promise<Rehearsal> {
  const strategies = strategiesOf(plan);
  const tasks = strategies.flatMap((_, strategy) =>
    Array.from({ length: plan.runs }, (__, run) => ({ strategy, run })),
  );
  let done = 0;
  const played = await play(plan, tasks, () => onProgress(++done, tasks.length));
  const results = strategies.map((_, index) => played.slice(index * plan.runs, (index + 1) * plan.runs));
  const [first = []] = results;
  return {
    plan,
    instances: instancesIn(plan),
    strategies: strategies.map((strategy, index) =>
      summaryOf(strategy, results[index] ?? [], index === 0 ? null : first),
    ),
    results,
  };
}
