/** How often something may be started again before its owner is told that it does not stay up. */
export interface RestartLimit {
  /** Restarts allowed within `withinMs`. */
  readonly restartsMax: number;
  readonly withinMs: number;
  /** The pause before the first restart; it doubles with each in the window, up to `backoffMaxMs`. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
}

/**
 * Counts restarts in a sliding window.
 *
 * @returns per call, with the monotonic time in ms: how long to wait before the next restart, or `undefined` when there were too many
 */
export function createRestartCounter(limit: RestartLimit): (nowMs: number) => number | undefined {
  let restartsAt: readonly number[] = [];
  return (nowMs) => {
    restartsAt = restartsAt.filter((at) => nowMs - at < limit.withinMs);
    if (restartsAt.length >= limit.restartsMax) return undefined;
    const waitMs = Math.min(limit.backoffMs * 2 ** restartsAt.length, limit.backoffMaxMs);
    restartsAt = [...restartsAt, nowMs];
    return waitMs;
  };
}
