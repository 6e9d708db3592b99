import { once } from "node:events";
import { availableParallelism } from "node:os";
import { type ResourceLimits, Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../base/ports.js";

/** Sources that run as they are have no script that a thread could load. */
export const canThread = import.meta.url.endsWith(".js") && availableParallelism() > 1;

/** What threads do, and who hears of it. */
export interface ThreadWork<Task, Outcome> {
  /** The code of a thread: it answers each task that it is sent by its outcome. */
  readonly script: URL;
  /** Threads at most; as many as there are cores, unless told. */
  readonly threadsMax?: number;
  /** What each may hold; V8's own limits, unless told. */
  readonly limits?: ResourceLimits;
  /** The next task; undefined when there is none any more. */
  readonly next: () => Task | undefined;
  readonly onDone: (outcome: Outcome, task: Task) => void;
  /** What a task came to whose thread ended, or took too long; without it that ends all the work. */
  readonly lost?: Lost<Task, Outcome>;
}

interface Lost<Task, Outcome> {
  readonly clock: Clock;
  /** A task may take so long. */
  readonly limitMs: number;
  readonly outcomeOf: (task: Task, error: Error) => Outcome;
}

/** Does tasks on all cores, each thread taking the next one when it is done with one. @throws what a thread threw */
export async function onThreads<Task, Outcome>(work: ThreadWork<Task, Outcome>): Promise<void> {
  const cores = availableParallelism();
  const count = Math.min(cores, work.threadsMax ?? cores);
  await Promise.all(Array.from({ length: count }, () => oneThread(work)));
}

async function oneThread<Task, Outcome>(work: ThreadWork<Task, Outcome>): Promise<void> {
  const { script, limits = {}, next, onDone, lost } = work;
  let worker: Worker | undefined;
  try {
    for (let task = next(); task !== undefined; task = next()) {
      worker ??= new Worker(script, { resourceLimits: limits });
      try {
        onDone(await askThread<Task, Outcome>(worker, task, lost), task);
      } catch (error) {
        if (lost === undefined) throw error;
        await worker.terminate();
        worker = undefined;
        onDone(lost.outcomeOf(task, error as Error), task);
      }
    }
  } finally {
    await worker?.terminate();
  }
}

async function askThread<Task, Outcome>(
  worker: Worker,
  task: Task,
  lost: Lost<Task, Outcome> | undefined,
): Promise<Outcome> {
  const done = new AbortController();
  const { signal } = done;
  const ends = once(worker, "exit", { signal }).then(([code]) => {
    throw new Error(`a thread ended with ${code}`);
  });
  const answers = once(worker, "message", { signal }).then(([outcome]) => outcome as Outcome);
  const waiting: Promise<Outcome>[] = [answers, ends];
  let limit: Timer | undefined;
  if (lost !== undefined)
    waiting.push(
      new Promise((_, reject) => {
        const late = () => reject(new Error(`it was not done after ${lost.limitMs} ms`));
        limit = lost.clock.setTimer(lost.limitMs, late);
      }),
    );
  worker.postMessage(task);
  try {
    return await Promise.race(waiting);
  } finally {
    limit?.cancel();
    done.abort();
  }
}
