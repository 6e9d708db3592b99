/** How long to wait before trying again: `firstMs`, doubled for each further try, at most `maxMs`. */
export interface BackoffRule {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Restarts of an ended process. */
export const restartBackoff: BackoffRule = { firstMs: 250, maxMs: 30_000 };

/** Repeats of phase work that failed for want of a connection. */
export const phaseBackoff: BackoffRule = { firstMs: 1_000, maxMs: 30_000 };

/** Repeats of what an app's engine could not do. */
export const appBackoff: BackoffRule = { firstMs: 1_000, maxMs: 300_000 };

/** Doublings after which every rule is at its longest wait; keeps the power finite. */
const doublingsMax = 30;

/**
 * The wait before the next try, after `failures` (from 1) in a row. The first half is certain, the second is
 * multiplied by `unit` (0 to 1), so that what failed together does not come back together.
 */
export function backoffMs(rule: BackoffRule, failures: number, unit: number): number {
  const doublings = Math.min(doublingsMax, Math.max(0, failures - 1));
  const longestMs = Math.min(rule.maxMs, rule.firstMs * 2 ** doublings);
  return Math.round(longestMs / 2 + (longestMs / 2) * unit);
}
