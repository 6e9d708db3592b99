import type { RollcallError } from "../base/errors.js";
import { isErrorCode, statusOf } from "../contracts/errors.js";

/** What the command `rollcall` ends with. */
export const exitCodes = {
  done: 0,
  internal: 1,
  usage: 2,
  refused: 3,
  failedAndRolledBack: 4,
  /** `simulate --replay`: today's machines decide differently; the trial has failed, and nothing was changed. */
  differs: 4,
  failedAndNotRolledBack: 5,
  timedOut: 6,
  noControlPlane: 7,
  /** `apps migrate`: rows could not be mapped; the others are migrated. */
  unmapped: 8,
  /** `simulate --chaos`: something did not hold that must always hold. */
  incorrect: 65,
  /** `simulate --chaos`: a fleet without faults did not come to rest. */
  stalled: 66,
  /** `simulate --chaos`: something threw. */
  crashed: 67,
  /** `simulate --chaos`: the same seed gave another life. */
  nondeterministic: 68,
  /** Ctrl-C: what a shell expects of a program that ended by SIGINT. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The code of failures that no control plane knows: they are about this command line. */
export const usageCode = "USAGE";

/** The exit code that says what kind of failure it was. */
export function exitCodeOf({ code }: RollcallError): ExitCode {
  if (code === usageCode) return exitCodes.usage;
  if (code === "WAIT_TIMEOUT") return exitCodes.timedOut;
  if (!isErrorCode(code)) return exitCodes.refused;
  const status = statusOf(code);
  if (status === 503 || status === 504) return exitCodes.noControlPlane;
  return status === 500 ? exitCodes.internal : exitCodes.refused;
}
