import { parentPort } from "node:worker_threads";
import type { RehearsalPlan } from "../../simulator/plan.js";
import { playTask, type Task } from "../../simulator/rehearsal.js";

/** What a thread is sent: a plan that was checked, and one of its tasks. */
export interface RehearsalWork {
  readonly plan: RehearsalPlan;
  readonly task: Task;
}

// A thread that plays what it is sent, one after another; what goes wrong ends it, and its owner hears of that.
parentPort?.on("message", ({ plan, task }: RehearsalWork) => {
  void playTask(plan, task).then((result) => parentPort?.postMessage(result));
});
