import type { HappeningOf, LifePlan } from "../../src/simulator/chaos/life-plan.js";

const fine = {
  deadlineMs: 60_000,
  minHealthyMs: 2_000,
  fails: 0,
  hangs: 0,
  unhealthy: 0,
  sickens: 0,
  crashes: 0,
  flaky: 0,
  slowMs: 500,
};

function deploy(atMs: number, release: number, selector: string | null = null): HappeningOf<"deploy"> {
  return {
    do: "deploy",
    atMs,
    release,
    config: null,
    selector,
    batch: 1,
    failureThreshold: 1,
    rollback: "auto",
    onStuck: "fail",
    progressDeadlineMs: 600_000,
  };
}

const cutInFlight = (atMs: number) =>
  ({ do: "agent", atMs, forMs: 20_000, which: "inFlight", how: "cut" }) as const;

/** A life in which those things happen that hardly any of a few drawn ones has. */
export const madeLife: LifePlan = {
  seed: "made",
  leaseMs: 3_000,
  faultsMs: 200_000,
  reconcileEveryMs: 30_000,
  coordinators: [{ driftPpm: 0, isNext: false }],
  instances: ["i1", "i2", "i3"].map((id) => ({ id, labels: { id }, driftPpm: 0, isNext: false })),
  releases: [
    { version: "v1", ...fine },
    { version: "v2", ...fine },
  ],
  configs: [],
  apps: [],
  appInstances: [],
  happenings: [
    { do: "messages", atMs: 1_000, forMs: 140_000, how: "duplicate", of: "health", share: 1, ms: 0 },
    deploy(5_000, 0),
    deploy(50_000, 1),
    cutInFlight(56_500),
    { do: "act", atMs: 58_000, verb: "rollback", deployment: 0 },
    deploy(110_000, 1),
    cutInFlight(111_000),
    { do: "act", atMs: 112_500, verb: "abort", deployment: 0 },
    // A rollback that leaves to the later one what is the later one's.
    deploy(140_000, 1),
    deploy(170_000, 0, "id=i1"),
    { do: "act", atMs: 185_000, verb: "rollback", deployment: 1 },
  ],
};
