import { type Player, playHere } from "../../simulator/rehearsal.js";
import type { RunResult } from "../../simulator/rehearse.js";
import type { RehearsalWork } from "./rehearsal-worker.js";
import { canThread, onThreads } from "./threads.js";

/** Runs for which a thread more is not worth its start. */
const fewRuns = 2;

/** Plays on all cores. */
export const playOnThreads: Player = async (plan, tasks, onDone) => {
  if (!canThread || tasks.length <= fewRuns) return playHere(plan, tasks, onDone);
  const results = new Array<RunResult>(tasks.length);
  const waiting = tasks.map((task, index) => ({ plan, task, index })).values();
  await onThreads<RehearsalWork & { readonly index: number }, RunResult>({
    script: new URL("./rehearsal-worker.js", import.meta.url),
    threadsMax: tasks.length,
    next: () => waiting.next().value,
    onDone: (result, { index }) => {
      results[index] = result;
      onDone();
    },
  });
  return results;
};
