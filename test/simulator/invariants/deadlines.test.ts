import { expect, test } from "vitest";
import { deadlines } from "../../../src/simulator/chaos/invariants/deadlines.js";
import { byAnna, claimOf, deploymentOf, instanceOf, sightingOf } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";

const running = deploymentOf({
  stage: "running",
  clock: { ranMs: 0, runningSinceMs: 0 },
  spec: { deadlineMs: 100_000, progressDeadlineMs: 50_000 },
});

/** One instance is in flight since 0. */
function inFlight(claim: Parameters<typeof claimOf>[0] = {}, deployment = running): RollingFleet {
  const fleet = new RollingFleet(deadlines);
  fleet.store({
    deployments: [deployment],
    instances: [instanceOf({ claim: claimOf({ state: "told", toldAtMs: 0, ...claim }) })],
  });
  return fleet;
}

/** Time passes while the instance gets on. */
function pass(fleet: RollingFleet, untilMs: number, note = () => `${fleet.nowMs}`): void {
  for (; fleet.nowMs <= untilMs; fleet.nowMs += 1_000) {
    fleet.report({ phaseAgeMs: fleet.nowMs, state: sightingOf({ note: note() }).state });
    fleet.invariant.each?.();
  }
}

test("an instance in flight whose deadline passes unnoticed is noticed", () => {
  const fleet = inFlight();
  pass(fleet, 110_000);
  expect(() => pass(fleet, 112_000)).toThrow(/told something by d1 111000 ms ago, its deadline is 100000 ms/);
});

test("not while its deployment stands, nor of those for which a rollback does not wait", () => {
  const standing = { ...running, paused: byAnna(0), clock: { ranMs: 40_000, runningSinceMs: null } };
  expect(() => pass(inFlight({}, standing), 300_000)).not.toThrow();
  expect(() => pass(inFlight({ urgent: true }), 300_000)).not.toThrow();
});

test("not by a leader that is new, or could not write", () => {
  const fleet = inFlight();
  pass(fleet, 108_000);
  fleet.lead("c2");
  pass(fleet, 120_000);
  const refuse = { do: "ledger", atMs: 0, forMs: 5_000, how: "refuse", ms: 0 } as const;
  fleet.invariant.happens?.(refuse, []);
  pass(fleet, 150_000);
  expect(() => pass(fleet, 170_000)).toThrow(/its deadline is/);
});

test("a deployment in which nothing moves for its progress deadline is noticed, unless that was said", () => {
  const still = () => "the same";
  const fleet = inFlight();
  pass(fleet, 30_000);
  pass(fleet, 89_000, still);
  expect(() => pass(fleet, 93_000, still)).toThrow(/nothing of d1 has moved for .* deadline is 50000 ms/);
  expect(() => pass(inFlight({}, { ...running, stuckAtMs: 1 }), 100_000, still)).not.toThrow();
});
