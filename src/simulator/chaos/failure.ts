/** How a life went wrong, by the exit code that says so. */
export type Trouble =
  /** Something did not hold that must hold at every moment. */
  | "correctness"
  /** The fleet did not come to rest in time, or did not stay there. */
  | "liveness"
  /** Something threw, or was logged as an error. */
  | "crash"
  /** The same plan gave another life. */
  | "nondeterminism";

export interface Failure {
  readonly trouble: Trouble;
  /** Of the invariant, `S4`. */
  readonly id: string;
  readonly sentence: string;
  /** Since the beginning. */
  readonly atMs: number;
}

/** Failures of one kind have one cause, most likely: the same id, and of what was thrown or logged the same words before any name. */
export function kindOf({ trouble, id, sentence }: Failure): string {
  const words = trouble === "crash" ? ` ${/^[^\d{"\n]*/.exec(sentence)?.[0]}` : "";
  return `${trouble} ${id}${words}`;
}
