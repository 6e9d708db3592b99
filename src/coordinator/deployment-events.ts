import type { DeploymentCommand, DeploymentEvent } from "../../machines/deployment-record.js";
import type { DeploymentRecord } from "../contracts/deployment.js";
import type { FleetEvent, Happening } from "../contracts/event-types.js";
import { byClock, type Origin } from "../contracts/origin.js";

/** What decides the steps of a deployment. */
export const rolloutRule = "rollout";

/** What follows from the time that passed, not from anything that somebody said or did. */
const byTime: { readonly [What in Happening<"deployment">]?: Origin } = {
  expired: byClock("deadline", "deadline"),
  held: byClock("mass-silence", "silence"),
  released: byClock("mass-silence", "silence"),
  unforced: byClock("mass-silence", "silence"),
};

/** @param begunBy the origin of what an actor does at its start */
export function originOf(
  event: DeploymentEvent | undefined,
  begunBy: Origin,
): (what: Happening<"deployment">) => Origin {
  const origin = event?.origin ?? begunBy;
  return (what) => (event?.type === "observe" ? (byTime[what] ?? origin) : origin);
}

/** What of a command is an event of the audit log. */
export function noteIn(
  command: DeploymentCommand,
): readonly { readonly what: Happening<"deployment">; readonly data: Readonly<Record<string, unknown>> }[] {
  if (command.type === "note") return [command];
  if (command.type !== "alert") return [];
  const { code, message } = command;
  return [{ what: "alerted", data: { code, message } }];
}

/** Written with the deployment that it undoes: the rollback itself begins in a batch of its own. */
export function rollbackEvent(
  { id, generation, rollbackOf, created }: DeploymentRecord,
  origin: Origin,
): FleetEvent {
  const data = { rollbackOf, reason: created.reason };
  return { kind: "deployment", id, type: "deployment.rollback", data, generation, ...origin };
}
