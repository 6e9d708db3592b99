import { randomExponential, randomLogNormal, randomNormal, randomUniform } from "d3-random";
import { z } from "zod";

/** How long something takes: one form of words for the command line, plan files and tables. */

const millisecondsOf: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** A week: longer than any deadline. */
const durationMaxMs = 7 * 86_400_000;
const samplesMax = 100_000;

/** The distributions, with what is given of each, all of them durations. */
const families = {
  constant: ["value"],
  uniform: ["from", "to"],
  normal: ["mean", "sd"],
  lognormal: ["mean", "sd"],
  exponential: ["mean"],
} as const;
type Family = keyof typeof families;

interface Parsed {
  readonly family: Family;
  readonly valuesMs: readonly number[];
}

function durationIn(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(text.trim());
  const ms = Number(parts?.[1]) * (millisecondsOf[parts?.[2] ?? ""] ?? Number.NaN);
  return ms <= durationMaxMs ? ms : undefined;
}

function parse(text: string): Parsed | undefined {
  const bare = durationIn(text);
  if (bare !== undefined) return { family: "constant", valuesMs: [bare] };
  const parts = /^([a-z]+)\(([^()]*)\)$/.exec(text.trim());
  const family = parts?.[1];
  if (!isFamily(family)) return undefined;
  const valuesMs = (parts?.[2] ?? "").split(",").map(durationIn);
  if (valuesMs.length !== families[family].length || !valuesMs.every((value) => value !== undefined))
    return undefined;
  const [first = 0, second = 0] = valuesMs;
  if (family === "uniform" && second < first) return undefined;
  // A lognormal of mean 0 has no logarithm.
  if (family === "lognormal" && first <= 0) return undefined;
  return { family, valuesMs };
}

function isFamily(name: string | undefined): name is Family {
  return name !== undefined && Object.hasOwn(families, name);
}

/** `20s`, `uniform(10s,30s)`, `normal(20s,5s)`, `lognormal(20s,8s)` (mean and standard deviation), `exponential(20s)`, or measured durations. */
export const distributionSchema = z
  .union([
    z
      .string()
      .max(128)
      .refine((text) => parse(text) !== undefined, {
        message:
          "a duration like 20s, or constant(20s), uniform(10s,30s), normal(20s,5s), lognormal(20s,8s) or exponential(20s)",
      }),
    z.strictObject({ samplesMs: z.array(z.number().min(0).max(durationMaxMs)).min(1).max(samplesMax) }),
  ])
  .meta({
    description:
      "20s, uniform(from,to), normal(mean,sd), lognormal(mean,sd) or exponential(mean), or measured durations in milliseconds",
  });
export type Distribution = z.infer<typeof distributionSchema>;

/**
 * One draw, in whole milliseconds, never negative. `unit` is asked as often as the distribution needs.
 *
 * @param distribution as {@link distributionSchema} takes it
 * @example drawMs("lognormal(20s,8s)", random.unit)
 */
export function drawMs(distribution: Distribution, unit: () => number): number {
  if (typeof distribution !== "string") {
    const { samplesMs } = distribution;
    return Math.round(samplesMs[Math.floor(unit() * samplesMs.length)] ?? 0);
  }
  const parsed = parse(distribution);
  return parsed === undefined ? 0 : Math.round(Math.min(durationMaxMs, Math.max(0, drawOf(parsed, unit))));
}

function drawOf({ family, valuesMs: [first = 0, second = 0] }: Parsed, unit: () => number): number {
  switch (family) {
    case "constant":
      return first;
    case "uniform":
      return randomUniform.source(unit)(first, second)();
    case "normal":
      return randomNormal.source(unit)(first, second)();
    case "lognormal": {
      // The library is told the mean and deviation of the logarithm.
      const variance = Math.log(1 + (second / first) ** 2);
      return randomLogNormal.source(unit)(Math.log(first) - variance / 2, Math.sqrt(variance))();
    }
    case "exponential":
      return first === 0 ? 0 : randomExponential.source(unit)(1 / first)();
  }
}
