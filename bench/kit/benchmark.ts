/** What a figure must reach. */
export interface Goal {
  readonly of: "ours" | "ratio";
  readonly atLeast?: number;
  readonly below?: number;
}

/** One figure: ours, and the bare one measured beside it in the same run. Of each one value a run. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly bare?: { readonly what: string; readonly values: readonly number[] };
  /** Ours to bare, run by run; left out where a ratio says nothing. */
  readonly ratio?: readonly number[];
  readonly goal?: Goal;
}

/** What came of a benchmark. */
export interface Findings {
  readonly figures: readonly Figure[];
  /** What a reader must know to judge the figures. */
  readonly notes: readonly string[];
}

/** What a benchmark is given. */
export interface BenchContext {
  /** The path of nats-server. */
  readonly natsBinary: string;
  /** Says on the standard error how far it is. */
  readonly say: (sentence: string) => void;
}

export interface Benchmark {
  readonly name: string;
  /** What is measured, against what, and how; a paragraph of the page. */
  readonly about: string;
  run(context: BenchContext): Promise<Findings>;
}

/** Ours to bare, run by run. */
export function ratios(ours: readonly number[], bare: readonly number[]): number[] {
  return ours.map((value, run) => value / (bare[run] ?? Number.NaN));
}
