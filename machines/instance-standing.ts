import type { Health, Phase } from "../src/contracts/instance.js";

/** The instance machine's state value, read and made. */

/** The state of the machine as others see it. */
export interface InstanceStanding {
  readonly update: string | Readonly<Record<string, unknown>>;
  readonly health: string;
}

/** The phase that people see; the last steps of a stop and of an activation count to the phase before. */
export function phaseOf({ update }: InstanceStanding): Phase {
  const stage = stageOf({ update, health: "" });
  if (stage === "SWITCHING") return "HEALTH_CHECK";
  return stage === "STOPPING" ? "UPDATING_ROUTES" : stage;
}

/** Where in its update region the machine is, as its record has it. */
export type Stage = Phase | "SWITCHING" | "STOPPING";

export function stageOf({ update }: InstanceStanding): Stage {
  const top = typeof update === "string" ? update : Object.keys(update)[0];
  const inner = typeof update === "object" ? update.APPLYING : undefined;
  const stage =
    inner === undefined ? top : typeof inner === "string" ? inner : Object.keys(inner as object)[0];
  return stage as Stage;
}

export function healthOf({ health }: InstanceStanding): Health {
  return health as Health;
}

/** The state in which a restarted agent takes an instance up again: the phase that it was in begins anew. */
export function standingOf(stage: Stage) {
  const rest = { contact: "asking", port: "kept", checks: "idle", health: "UNKNOWN" } as const;
  switch (stage) {
    case "STOPPED":
    case "ACTIVE":
      return { ...rest, update: stage };
    case "SWITCHING":
      return { ...rest, update: { SWITCHING: "working" } };
    case "FAILED":
      return { ...rest, health: "FAILED", update: { FAILED: "clearing" } };
    case "QUEUED":
      return { ...rest, update: { APPLYING: { QUEUED: "clearing" } } };
    case "STOPPING":
      return { ...rest, update: { STOPPING: "withdrawing" } };
    default:
      return { ...rest, update: { APPLYING: { [stage]: "waiting" } } };
  }
}
