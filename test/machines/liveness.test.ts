import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isCalm,
  isMassSilence,
  isSilenceOver,
  livenessWindowMs,
  reportIntervalMs,
  type Silence,
} from "../../machines/liveness.js";

function silenceOf(changes: Partial<Silence>): Silence {
  return { others: 100, silent: 0, newlySilent: 0, calmSinceMs: null, windowMs: 7_000, ...changes };
}

describe("how often an instance reports", () => {
  test.each([
    [0, 2_000],
    [1, 2_000],
    [20_000, 2_000],
    [20_001, 2_001],
    [100_000, 10_000],
  ])("in a fleet of %d is every %d ms", (instances, intervalMs) => {
    expect(reportIntervalMs(instances)).toBe(intervalMs);
  });

  test("never makes a fleet send more than 10,000 reports a second", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000_000 }), (instances) => {
        expect((instances * 1_000) / reportIntervalMs(instances)).toBeLessThanOrEqual(10_000);
      }),
    );
  });

  test("it is silent half an interval after the third report that was missing", () => {
    expect(livenessWindowMs(2_000)).toBe(7_000);
  });
});

describe("a mass silence", () => {
  test.each([
    [10, 2, false],
    [3, 3, true],
    [10, 3, true],
    [11, 3, false],
    [100, 29, false],
    [100, 30, true],
    [100, 100, true],
    [0, 0, false],
  ])("of %d instances that are not in flight, %d newly silent: %s", (others, newlySilent, expected) => {
    expect(isMassSilence(silenceOf({ others, silent: newlySilent, newlySilent }))).toBe(expected);
  });

  test("is not one of those that have been silent for long", () => {
    expect(isMassSilence(silenceOf({ silent: 100, newlySilent: 2 }))).toBe(false);
  });
});

describe("a calm fleet", () => {
  test.each([
    [100, 14, true],
    [100, 15, false],
    [20, 2, true],
    [20, 3, false],
    [4, 0, true],
    [4, 1, false],
    [0, 0, true],
  ])("of %d with %d silent: %s", (others, silent, expected) => {
    expect(isCalm({ others, silent })).toBe(expected);
  });

  test("sees no mass silence", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000), (others, silent) => {
        if (isCalm({ others, silent }))
          expect(isMassSilence(silenceOf({ others, silent, newlySilent: silent }))).toBe(false);
      }),
    );
  });
});

test("a silence is over when the fleet was calm for one whole window", () => {
  expect(isSilenceOver(silenceOf({ calmSinceMs: 1_000 }), 7_999)).toBe(false);
  expect(isSilenceOver(silenceOf({ calmSinceMs: 1_000 }), 8_000)).toBe(true);
  expect(isSilenceOver(silenceOf({ calmSinceMs: null }), 1_000_000)).toBe(false);
});
