import { describe, expect, test } from "vitest";
import { createSeededRandom } from "../../src/runtime/random.js";
import { distributionSchema, drawMs } from "../../src/simulator/distribution.js";
import { quantilesOf, wilson } from "../../src/simulator/summary.js";

describe("a distribution", () => {
  const drawsOf = (distribution: Parameters<typeof drawMs>[0]) => {
    const { unit } = createSeededRandom(7);
    return Array.from({ length: 20_000 }, () => drawMs(distribution, unit));
  };
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = (values: readonly number[]) => {
    const middle = mean(values);
    return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
  };

  test.each([
    ["20s", 20_000, 0],
    ["constant(1.5s)", 1_500, 0],
    ["uniform(10s,30s)", 20_000, 5_774],
    ["normal(20s,5s)", 20_000, 5_000],
    ["lognormal(20s,8s)", 20_000, 8_000],
    ["exponential(20s)", 20_000, 20_000],
  ])("%s has the mean and the deviation that it names", (text, meanMs, deviationMs) => {
    const draws = drawsOf(distributionSchema.parse(text));
    expect(Math.abs(mean(draws) - meanMs)).toBeLessThanOrEqual(meanMs * 0.03);
    expect(Math.abs(deviation(draws) - deviationMs)).toBeLessThanOrEqual(deviationMs * 0.05);
  });

  test("of measured durations draws these and no others, each about as often", () => {
    const draws = drawsOf({ samplesMs: [100, 200, 200, 900] });
    expect(new Set(draws)).toEqual(new Set([100, 200, 900]));
    expect(draws.filter((value) => value === 200).length / draws.length).toBeCloseTo(0.5, 1);
  });

  test("never gives a negative duration", () => {
    expect(Math.min(...drawsOf("normal(1s,5s)"))).toBe(0);
  });

  test.each(["20", "normal(20s)", "uniform(30s,10s)", "lognormal(0s,1s)", "weibull(1s,2s)", "", "900d"])(
    "%j is refused",
    (text) => {
      expect(distributionSchema.safeParse(text).success).toBe(false);
    },
  );
});

describe("figures", () => {
  test("quantiles are values that occurred", () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1);
    expect(quantilesOf(values)).toEqual({ p50: 50, p90: 90, p99: 99, worst: 100 });
    expect(quantilesOf([7])).toEqual({ p50: 7, p90: 7, p99: 7, worst: 7 });
  });

  // The values are those of the textbook example for 1 of 10, and the rule of three's neighbourhood for none of 50.
  test("a share has an interval that never leaves 0 to 1 and is not empty at its ends", () => {
    expect(wilson(1, 10).low).toBeCloseTo(0.0179, 3);
    expect(wilson(1, 10).high).toBeCloseTo(0.4042, 3);
    expect(wilson(0, 50)).toMatchObject({ share: 0, low: 0 });
    expect(wilson(0, 50).high).toBeCloseTo(0.0714, 3);
    expect(wilson(50, 50)).toMatchObject({ share: 1, high: 1 });
  });
});
