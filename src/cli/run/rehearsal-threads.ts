import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type Player, playHere } from "../../simulator/rehearsal.js";
import type { RunResult } from "../../simulator/rehearse.js";
import type { RehearsalWork } from "./rehearsal-worker.js";

/** Runs for which a thread more is not worth its start. */
const fewRuns = 2;
const script = new URL("./rehearsal-worker.js", import.meta.url);
/** Sources that run as they are have no script that a thread could load. */
const isBuilt = import.meta.url.endsWith(".js");

/** Plays on all cores, each thread taking the next task when it is done with one. */
export const playOnThreads: Player = async (plan, tasks, onDone) => {
  const count = Math.min(availableParallelism(), tasks.length);
  if (!isBuilt || count < 2 || tasks.length <= fewRuns) return playHere(plan, tasks, onDone);
  const results = new Array<RunResult>(tasks.length);
  let next = 0;
  const playAll = (worker: Worker) =>
    new Promise<void>((resolve, reject) => {
      let index = 0;
      const takeNext = () => {
        index = next++;
        const task = tasks[index];
        if (task === undefined) resolve();
        else worker.postMessage({ plan, task } satisfies RehearsalWork);
      };
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`a thread of the rehearsal ended with ${code}`)));
      worker.on("message", (result: RunResult) => {
        results[index] = result;
        onDone();
        takeNext();
      });
      takeNext();
    });
  const workers = Array.from({ length: count }, () => new Worker(script));
  try {
    await Promise.all(workers.map(playAll));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return results;
};
