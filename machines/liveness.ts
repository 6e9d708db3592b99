/** When an instance counts as silent, and when so many are silent that the cause cannot be the roll-out. */

/** Reports in a row that may be missing before an instance is `UNKNOWN`. */
export const missedReportsMax = 3;

/** Reports a second that a whole fleet may send; above 20,000 instances they report less often. */
const reportsPerSecondMax = 10_000;
const reportIntervalMinMs = 2_000;

/** How often each instance of a fleet of this size reports. */
export function reportIntervalMs(instances: number): number {
  return Math.max(reportIntervalMinMs, Math.ceil((instances * 1_000) / reportsPerSecondMax));
}

/** An interval this much off is not worth a message. */
const intervalSlack = 0.2;

/** Whether an instance that reports at one interval is to be told of another. */
export function isOtherInterval(intervalMs: number, assignedMs: number): boolean {
  return Math.abs(intervalMs - assignedMs) > assignedMs * intervalSlack;
}

/** The window after whose end without a report an instance is silent: half an interval more than the missed ones. */
export function livenessWindowMs(intervalMs: number): number {
  return intervalMs * (missedReportsMax + 0.5);
}

export interface Silence {
  /** Instances of the fleet that no deployment has in flight. */
  readonly others: number;
  /** Of these, the ones silent now. */
  readonly silent: number;
  /** Of these, the ones that went silent within the last liveness window. */
  readonly newlySilent: number;
  /** Since when the silent share has been under 15 %, in ledger time; `null` while it is not. */
  readonly calmSinceMs: number | null;
  readonly windowMs: number;
}

const holdAtLeast = 3;
const holdShare = 0.3;
const calmShare = 0.15;

/** So many went silent at once that the network, not the release, is the likely cause. */
export function isMassSilence(silence: Silence): boolean {
  return silence.newlySilent >= holdAtLeast && silence.newlySilent >= silence.others * holdShare;
}

export function isCalm(silence: Pick<Silence, "others" | "silent">): boolean {
  return silence.silent < Math.max(1, silence.others * calmShare);
}

/** The share has been small for a whole window. */
export function isSilenceOver(silence: Silence, nowMs: number): boolean {
  return silence.calmSinceMs !== null && nowMs - silence.calmSinceMs >= silence.windowMs;
}
