import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RehearsalPlan, rehearsalPlanSchema } from "../../src/simulator/plan.js";
import { type CrewKind, rehearseOnce } from "../../src/simulator/rehearse.js";

const weights = fc.record({
  build: fc.nat(3),
  unhealthy: fc.nat(3),
  flaps: fc.nat(3),
  hangs: fc.integer({ min: 1, max: 3 }),
});

/** Small fleets, with all that can happen to an update, in every mixture. */
const plans = fc
  .record({
    instances: fc.integer({ min: 2, max: 12 }),
    batch: fc.constantFrom(1, 2, 3, "30%", "100%"),
    failureThreshold: fc.constantFrom(1, 2, "25%"),
    minHealthyMs: fc.constantFrom(0, 1_000, 10_000),
    deadlineMs: fc.constantFrom(60_000, 240_000, 900_000),
    rollback: fc.constantFrom("auto", "auto", "off"),
    retries: fc.integer({ min: 1, max: 4 }),
    startPeriodMs: fc.constantFrom(0, 900, 7_000, 40_000),
    intervalMs: fc.constantFrom(500, 2_000, 10_000),
    updateTime: fc.constantFrom("1s", "12s", "lognormal(20s,8s)", "uniform(1s,90s)", "exponential(30s)"),
    failureRate: fc.constantFrom(0, 0.1, 0.3, 0.9),
    failures: weights,
    silenceRate: fc.constantFrom(0, 0, 0.1, 0.5),
    seed: fc.nat(),
  })
  .map(({ instances, batch, failureThreshold, minHealthyMs, deadlineMs, rollback, seed, ...rest }) =>
    rehearsalPlanSchema.parse({
      fleet: [{ instances, labels: { tier: "web" } }],
      strategy: { batch, failureThreshold, minHealthyMs, deadlineMs, rollback },
      healthCheck: {
        intervalMs: rest.intervalMs,
        retries: rest.retries,
        startPeriodMs: rest.startPeriodMs,
      },
      behaviour: {
        updateTime: rest.updateTime,
        failureRate: rest.failureRate,
        failures: rest.failures,
        flapsAfter: "exponential(30s)",
        silenceRate: rest.silenceRate,
      },
      seed,
    }),
  );

/** Two crews come to the same, but for the milliseconds that reports are on their way, and a look of the watch over silence. */
async function expectSame(plan: RehearsalPlan, one: CrewKind, other: CrewKind): Promise<void> {
  const played = async (crew: CrewKind) =>
    (await rehearseOnce({ plan, strategy: plan.strategy, run: 0, crew })).result;
  const { durationMs: oneMs, ...oneCounts } = await played(one);
  const { durationMs: otherMs, ...otherCounts } = await played(other);
  expect(oneCounts).toEqual(otherCounts);
  expect(Math.abs(oneMs - otherMs)).toBeLessThanOrEqual(1_500 + otherMs / 200);
}

describe("stand-ins", () => {
  test("come to what real agents come to, whatever happens to the updates", async () => {
    const same = fc.asyncProperty(plans, (plan) => expectSame(plan, "standIns", "realAgents"));
    await fc.assert(same, { numRuns: 10, seed: 4 });
  });

  test("come to the same when they leave out the reports that say nothing new", async () => {
    const same = fc.asyncProperty(plans, (plan) => expectSame(plan, "standIns", "standInsWithBeats"));
    await fc.assert(same, { numRuns: 10, seed: 5 });
  });
});

test("machines as states alone come to what live actors come to, step by step", async () => {
  const played = (plan: RehearsalPlan, machinesAs: "actors" | "states") =>
    rehearseOnce({ plan, strategy: plan.strategy, run: 0, keepsCourse: true, machinesAs });
  const same = fc.asyncProperty(plans, async (plan) => {
    expect(await played(plan, "states")).toEqual(await played(plan, "actors"));
  });
  await fc.assert(same, { numRuns: 15, seed: 6 });
});
