import type { Strategy } from "./plan.js";
import { type RunOutcome, type RunResult, runOutcomes } from "./rehearse.js";

/** A share of the runs, with the interval in which the true one lies with 95 % confidence (Wilson's). */
export interface Share {
  readonly runs: number;
  readonly share: number;
  readonly low: number;
  readonly high: number;
}

/** Of some values: nearest-rank quantiles, so each is a value that occurred. */
export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly worst: number;
}

/** A mean of differences, run by run, with its 95 % confidence interval. */
export interface Difference {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** What many runs of one strategy came to. */
export interface Summary {
  readonly strategy: Strategy;
  readonly runs: number;
  readonly outcomes: Readonly<Record<RunOutcome, Share>>;
  /** It was held at least once, whatever came of it. */
  readonly held: Share;
  readonly durationMs: Quantiles;
  /** Instances that ever ran the new version, of the runs that did not complete; `null` if all did. */
  readonly blastRadius: Quantiles | null;
  /** The most instances in flight or failed at one time. */
  readonly outMax: Quantiles;
  /** To the first strategy, by the same draws; `null` for the first itself. */
  readonly versusFirst: {
    readonly durationMs: Difference;
    readonly outMax: Difference;
    readonly ran: Difference;
  } | null;
}

/** The 97.5 % quantile of the normal distribution. */
const z = 1.959964;

/** @param results run by run, in the same order for every strategy */
export function summaryOf(
  strategy: Strategy,
  results: readonly RunResult[],
  first: readonly RunResult[] | null,
): Summary {
  const shareOf = (is: (result: RunResult) => boolean) =>
    wilson(results.filter((result) => is(result)).length, results.length);
  const bad = results.filter(({ outcome }) => outcome !== "completed");
  const outcomes = Object.fromEntries(
    runOutcomes.map((outcome) => [outcome, shareOf((result) => result.outcome === outcome)]),
  ) as Record<RunOutcome, Share>;
  return {
    strategy,
    runs: results.length,
    outcomes,
    held: shareOf(({ wasHeld }) => wasHeld),
    durationMs: quantilesOf(results.map(({ durationMs }) => durationMs)),
    blastRadius: bad.length === 0 ? null : quantilesOf(bad.map(({ ran }) => ran)),
    outMax: quantilesOf(results.map(({ outMax }) => outMax)),
    versusFirst:
      first === null
        ? null
        : {
            durationMs: differenceOf(results, first, ({ durationMs }) => durationMs),
            outMax: differenceOf(results, first, ({ outMax }) => outMax),
            ran: differenceOf(results, first, ({ ran }) => ran),
          },
  };
}

export function wilson(hits: number, runs: number): Share {
  const share = hits / runs;
  const middle = (share + z ** 2 / (2 * runs)) / (1 + z ** 2 / runs);
  const half = (z / (1 + z ** 2 / runs)) * Math.sqrt((share * (1 - share)) / runs + z ** 2 / (4 * runs ** 2));
  return {
    runs: hits,
    share,
    low: hits === 0 ? 0 : Math.max(0, middle - half),
    high: hits === runs ? 1 : Math.min(1, middle + half),
  };
}

export function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), worst: at(1) };
}

function differenceOf(
  results: readonly RunResult[],
  first: readonly RunResult[],
  numberOf: (result: RunResult) => number,
): Difference {
  const differences = results.map((result, run) => {
    const other = first[run];
    return other === undefined ? 0 : numberOf(result) - numberOf(other);
  });
  const count = differences.length;
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, count - 1);
  const half = z * Math.sqrt(variance / count);
  return { mean, low: mean - half, high: mean + half };
}
