import { instancesIn, memoryFor } from "../../simulator/plan.js";
import { type Player, playHere } from "../../simulator/rehearsal.js";
import type { RunResult } from "../../simulator/rehearse.js";
import type { RehearsalWork } from "./rehearsal-worker.js";
import { canThread, onThreads } from "./threads.js";

/** For less than this a thread is not worth its start. */
const fewRuns = 2;
const fewInstances = 1_000;

/** Plays on all cores. */
export const playOnThreads: Player = async (plan, tasks, onDone) => {
  const instances = instancesIn(plan);
  const isLittle = tasks.length <= fewRuns && instances <= fewInstances;
  if (!canThread || isLittle) return playHere(plan, tasks, onDone);
  const { youngMiB, oldMiB } = memoryFor(instances);
  const results = new Array<RunResult>(tasks.length);
  const waiting = tasks.map((task, index) => ({ plan, task, index })).values();
  await onThreads<RehearsalWork & { readonly index: number }, RunResult>({
    script: new URL("./rehearsal-worker.js", import.meta.url),
    threadsMax: tasks.length,
    limits: { maxYoungGenerationSizeMb: youngMiB, maxOldGenerationSizeMb: oldMiB },
    next: () => waiting.next().value,
    onDone: (result, { index }) => {
      results[index] = result;
      onDone();
    },
  });
  return results;
};
