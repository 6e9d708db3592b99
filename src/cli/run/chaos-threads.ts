import { createRealClock } from "../../runtime/real-clock.js";
import {
  type ChaosOutcome,
  type ChaosPlayer,
  type ChaosTask,
  doChaosHere,
  planOf,
} from "../../simulator/chaos/chaos.js";
import { familiesOf } from "../../simulator/chaos/families.js";
import { canThread, onThreads } from "./threads.js";

/** Real time for a life, or for making one smaller; more is an endless loop in it. */
const limitMs = 1_800_000;

/** Lives on all cores. A life that ends its thread, or never ends, is a crash. */
export const doChaosOnThreads: ChaosPlayer = async (next, onDone) => {
  if (!canThread) return doChaosHere(next, onDone);
  await onThreads<ChaosTask, ChaosOutcome>({
    script: new URL("./chaos-worker.js", import.meta.url),
    next,
    onDone,
    lost: { clock: createRealClock(), limitMs, outcomeOf: crashed },
  });
};

function crashed(task: ChaosTask, error: Error): ChaosOutcome {
  if (task.do === "shrink")
    return { do: "shrink", shrunk: { plan: task.plan, failure: task.failure, lives: 0 } };
  const plan = planOf(task.order);
  const sentence = error.stack ?? error.message;
  const failure = { trouble: "crash", id: "thread", sentence, atMs: 0 } as const;
  const nothing = { marks: [], happened: 0, virtualMs: 0, digest: "" };
  return { do: "live", report: { seed: plan.seed, failure, families: familiesOf(plan), ...nothing } };
}
