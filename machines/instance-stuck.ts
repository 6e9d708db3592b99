import type { Phase } from "../src/contracts/instance.js";
import type { InstanceContext } from "./instance-facts.js";

/** After how long without any progress a phase of an instance counts as stuck. */

/** Without a manifest to say so: how long the end of a service may take without progress. */
const stopStuckMs = 300_000;
/** How long after its own time limit something is waited for that is ended by it. */
const limitSlackMs = 30_000;

function manifestOf(context: InstanceContext) {
  return (context.target?.run ?? context.active?.launch)?.release.manifest;
}

function stuckMsOf(context: InstanceContext): number {
  return manifestOf(context)?.stuckMs ?? stopStuckMs;
}

/** What has a time limit of its own is not taken for stuck before that one has ended it. */
function notBefore(stuckMs: number, limitMs: number): number {
  return limitMs >= stuckMs ? limitMs + limitSlackMs : stuckMs;
}

/** After how long without progress what is being done counts as stuck. */
export const stuckMsIn = {
  work: stuckMsOf,
  /** A build may be silent for as long as it may take. */
  build: (context: InstanceContext) =>
    notBefore(stuckMsOf(context), manifestOf(context)?.build?.timeoutMs ?? 0),
  /** A process may take its grace time to end. */
  end: (context: InstanceContext) =>
    notBefore(stuckMsOf(context), context.active?.launch.release.manifest.stop.graceMs ?? 0),
} as const;

/** Where something did not move. */
export interface StuckIn {
  readonly phase: Phase;
  readonly doing: keyof typeof stuckMsIn;
}

/** A new process has its start period on top. */
export function unprovenMs(context: InstanceContext): number {
  const manifest = manifestOf(context);
  return manifest === undefined ? stopStuckMs : manifest.stuckMs + manifest.healthCheck.startPeriodMs;
}
