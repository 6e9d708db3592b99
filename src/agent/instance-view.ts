import type { SnapshotFrom } from "xstate";
import type { instanceMachine } from "../../machines/instance.js";
import { type InstanceContext, runningOf, statusIn, watched } from "../../machines/instance-facts.js";
import { healthOf, type InstanceStanding, phaseOf } from "../../machines/instance-standing.js";
import { refusal } from "../contracts/errors.js";
import type { Health, InstanceState, Labels, Phase, Reason } from "../contracts/instance.js";
import { reasonOf } from "./fault.js";

const noteMax = 256;

/** What a report says of an instance, derived from its machine's state and nothing else. */
export interface InstanceView {
  readonly state: InstanceState;
  readonly observedGeneration: number;
  readonly ledgerId: string | null;
  /** Another object whenever the phase or its work has moved, be it to say the same again. */
  readonly progress: InstanceContext["progress"];
  /** On the monotonic clock, since when it has been healthy; `null` while it is not. */
  readonly goodSinceMs: number | null;
  /** For how long it has to be healthy to count as done. */
  readonly minHealthyMs: number;
}

export function viewOf(
  { value, context }: SnapshotFrom<typeof instanceMachine>,
  about: {
    readonly labels: Labels;
    readonly agentId: string;
    readonly agentVersion: string;
    readonly desiredFormat: number;
  },
): InstanceView {
  const standing = value as InstanceStanding;
  const health = healthOf(standing);
  const running = runningOf(context);
  const shown = running === null ? watched(context) : context.active;
  const process = shown === null ? null : context.processes[shown.slot];
  const phase = phaseOf(standing);
  return {
    state: {
      labels: about.labels,
      health,
      reason: whyOf(context, health, about.agentId),
      running,
      phase,
      progress: context.progress.percent,
      note: noteOf(context, phase).slice(0, noteMax),
      port: shown?.launch.port ?? null,
      pid: process?.pid ?? null,
      restarts: process?.restarts ?? 0,
      agentVersion: about.agentVersion,
      desiredFormat: about.desiredFormat,
    },
    progress: context.progress,
    observedGeneration: context.target?.generation ?? 0,
    ledgerId: context.target?.ledgerId ?? null,
    goodSinceMs: health === "HEALTHY" ? context.checks.goodSinceMs : null,
    minHealthyMs: context.target?.minHealthyMs ?? 0,
  };
}

/** What the phase is doing; while a health check is waited for, also what the last one said. */
function noteOf({ progress, checks }: InstanceContext, phase: Phase): string {
  if (phase !== "HEALTH_CHECK" || checks.detail === "" || checks.verdict === "healthy") return progress.note;
  return `${progress.note}; the last one: ${checks.detail}`;
}

/** Why the health is what it is. */
function whyOf(context: InstanceContext, health: Health, agentId: string): Reason | null {
  if (health === "HEALTHY") return null;
  if (context.failure !== null) return reasonOf(context.failure);
  if (context.takenBy !== null) {
    const { message } = refusal("INSTANCE_TAKEN", {
      instance: context.instance,
      owner: context.takenBy,
      agent: agentId,
    });
    return { code: "INSTANCE_TAKEN", message };
  }
  const process = watched(context);
  if (process === null) return null;
  if (statusIn(context, process) !== "up") {
    const { fault } = context.processes[process.slot];
    return fault === null ? null : reasonOf(fault);
  }
  const { failures, detail } = context.checks;
  if (health === "DEGRADED") return { code: "DEGRADED", message: detail };
  if (failures === 0) return null;
  return reasonOf({
    code: "HEALTH_CHECK_FAILED",
    details: { version: process.launch.release.version, failures, problem: detail },
  });
}
