import { readFileSync, writeFileSync } from "node:fs";
import type { Benchmark, Figure, Findings, Goal } from "./benchmark.js";
import type { Machine } from "./machine.js";
import { type Summary, summaryOf } from "./stats.js";

/** A figure with its runs summed up. */
export interface SummedFigure {
  readonly what: string;
  readonly unit: string;
  readonly ours: Summary;
  readonly bare?: Summary & { readonly what: string };
  readonly ratio?: Summary;
  readonly goal?: { readonly text: string; readonly met: boolean };
}

/** A benchmark as it was measured last: what `--json` prints and `bench/results.json` keeps. */
export interface Result {
  readonly name: string;
  readonly about: string;
  /** RFC 3339. */
  readonly at: string;
  readonly tookSeconds: number;
  readonly machine: Machine;
  readonly figures: readonly SummedFigure[];
  readonly notes: readonly string[];
}

export function resultOf(
  { name, about }: Benchmark,
  { figures, notes }: Findings,
  measured: Pick<Result, "at" | "tookSeconds" | "machine">,
): Result {
  return { name, about, ...measured, figures: figures.map(summed), notes };
}

function summed({ what, unit, ours, bare, ratio, goal }: Figure): SummedFigure {
  const figure = {
    what,
    unit,
    ours: rounded(summaryOf(ours)),
    ...(bare && { bare: { what: bare.what, ...rounded(summaryOf(bare.values)) } }),
    ...(ratio && { ratio: rounded(summaryOf(ratio)) }),
  };
  return { ...figure, ...(goal && { goal: judged(goal, figure) }) };
}

/** A goal is met by the median. */
function judged(
  goal: Goal,
  figure: { readonly ours: Summary; readonly ratio?: Summary; readonly unit: string },
) {
  const { median } = (goal.of === "ratio" ? figure.ratio : figure.ours) ?? figure.ours;
  const unit = goal.of === "ratio" ? "" : ` ${figure.unit}`;
  const parts = [
    ...(goal.atLeast === undefined ? [] : [`≥ ${goal.atLeast}${unit}`]),
    ...(goal.below === undefined ? [] : [`< ${goal.below}${unit}`]),
  ];
  const met =
    median >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) && median < (goal.below ?? Number.POSITIVE_INFINITY);
  return { text: `${goal.of === "ratio" ? "ratio " : ""}${parts.join(", ")}`, met };
}

/** Four digits: what lies behind them is noise. */
function rounded({ median, min, max, runs }: Summary): Summary {
  const round = (value: number) => Number(value.toPrecision(4));
  return { median: round(median), min: round(min), max: round(max), runs };
}

/** Takes results into the file that keeps the newest of each benchmark. @returns all that are kept now */
export function keepResults(path: string, results: readonly Result[], order: readonly string[]): Result[] {
  const byName = new Map(keptResults(path).map((result) => [result.name, result]));
  for (const result of results) byName.set(result.name, result);
  const kept = order.flatMap((name) => byName.get(name) ?? []);
  writeFileSync(path, `${JSON.stringify(kept, undefined, 2)}\n`);
  return kept;
}

function keptResults(path: string): Result[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Result[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
