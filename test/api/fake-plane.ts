import type { ControlPlane, EndpointName } from "../../src/contracts/api.js";
import { endpoints } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import type { DeploymentView, InstanceView } from "../../src/contracts/views.js";

/** Answers what the test gives, and refuses the rest as a defect. */
export function fakePlane(answers: Partial<ControlPlane>): ControlPlane {
  const rest = Object.fromEntries(
    (Object.keys(endpoints) as EndpointName[]).map((endpoint) => [
      endpoint,
      async () => {
        throw refusal("INTERNAL", { problem: `the test asked ${endpoint} without an answer for it` });
      },
    ]),
  );
  return { ...(rest as unknown as ControlPlane), ...answers };
}

export function aDeployment(changes: Partial<DeploymentView> = {}): DeploymentView {
  return {
    id: "d1",
    status: "RUNNING",
    state: "rolling",
    outcome: null,
    reason: null,
    spec: {
      release: "v2",
      config: null,
      selector: null,
      batch: 2,
      failureThreshold: 2,
      minHealthyMs: 10_000,
      deadlineMs: 900_000,
      progressDeadlineMs: 1_200_000,
      rollback: "auto",
      reason: null,
    },
    rollbackOf: null,
    retryOf: null,
    rolledBackBy: null,
    batch: 2,
    failureThreshold: 2,
    matched: 3,
    counts: { total: 3, notNeeded: 0, waiting: 1, inFlight: 2, succeeded: 0, failed: 0, unreachable: 0 },
    created: { by: "ann", atMs: 1_893_456_000_000, reason: null },
    paused: null,
    held: null,
    finishedAtMs: null,
    generation: 1,
    observedGeneration: 1,
    why: { rule: "waiting-for-slot", sentence: "Waiting for web-1.", blocking: ["web-1"], nextAtMs: null },
    ...changes,
  };
}

export function anInstance(changes: Partial<InstanceView> = {}): InstanceView {
  return {
    id: "web-1",
    agent: "agent-1",
    labels: { tier: "web" },
    status: "HEALTHY",
    updateState: "IN_PROGRESS",
    reason: null,
    desired: { release: "v2", config: null },
    running: { release: "v1", config: null },
    stable: { release: "v1", config: null },
    generation: 2,
    observedGeneration: 2,
    phase: "HEALTH_CHECK",
    progress: 40,
    note: "",
    port: 8_080,
    pid: 4_711,
    restarts: 0,
    reportAgeMs: 800,
    deployment: "d1",
    claim: "told",
    why: "It is checked.",
    ...changes,
  };
}
