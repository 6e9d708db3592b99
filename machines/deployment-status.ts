import type { SnapshotFrom } from "xstate";
import type { DeploymentView } from "../src/contracts/views.js";
import type { deploymentMachine } from "./deployment.js";

type Value = SnapshotFrom<typeof deploymentMachine>["value"];

/** What people see of a deployment, read off the machine's state and kept nowhere else. */
export function publishedState(value: Value): Pick<DeploymentView, "status" | "state" | "outcome"> {
  if (value === "preparing") return { status: "UNKNOWN", state: "preparing", outcome: null };
  if (typeof value === "string") return { status: "RUNNING", state: "rolling", outcome: null };
  if ("running" in value) {
    const { person, rule } = value.running;
    return {
      status: "RUNNING",
      state: person === "paused" ? "paused" : rule === "held" ? "held" : "rolling",
      outcome: null,
    };
  }
  const { finished } = value;
  if (finished === "deciding") return { status: "RUNNING", state: "rolling", outcome: null };
  const status = finished === "completed" || finished === "rolled_back" ? "COMPLETED" : "FAILED";
  return { status, state: "finished", outcome: finished };
}
