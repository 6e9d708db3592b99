import { parentPort } from "node:worker_threads";
import { type ChaosTask, doChaosTask } from "../../simulator/chaos/chaos.js";

// A thread that lives the lives that it is sent, one after another; what no life caught ends it, and its owner hears of that.
parentPort?.on("message", (task: ChaosTask) => {
  void doChaosTask(task).then((outcome) => parentPort?.postMessage(outcome));
});
