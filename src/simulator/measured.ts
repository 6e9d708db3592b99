import { z } from "zod";
import type { EventView } from "../contracts/views.js";
import type { FailureKind } from "./plan.js";

/** How the updates of a real deployment went, in the words of a plan. */
export interface Measured {
  /** From the command to the first healthy check, of each update that succeeded. */
  readonly samplesMs: readonly number[];
  /** Updates that it commanded. */
  readonly told: number;
  /** Of these, the ones that failed, by how that showed. */
  readonly failures: Readonly<Record<FailureKind, number>>;
}

const buildCodes = /^(BUILD_|CHECKSUM_|OBJECT_|GIT_|NO_GIT|UNSAFE_|ARCHIVE_|DISK_)/;
const hangCodes = /^(INSTANCE_DEADLINE|PHASE_STUCK)$/;

/** What an event says of an update. */
type Outcome =
  | { readonly kind: "told" | "succeeded"; readonly atMs: number }
  | { readonly kind: "failed"; readonly atMs: number; readonly code: string };

/**
 * Reads the audit events of a deployment's instances, in any order.
 * @param minHealthyMs what it asked for: a success is told so much later than the first healthy check
 */
export function measuredOf(
  events: Iterable<EventView>,
  { deployment, minHealthyMs }: { deployment: string; minHealthyMs: number },
): Measured {
  const updates = updatesIn(events);
  const samplesMs: number[] = [];
  const failures: Record<FailureKind, number> = { build: 0, unhealthy: 0, flaps: 0, hangs: 0 };
  let told = 0;
  for (const { cause, outcomes } of updates.values()) {
    const command = outcomes.find(({ kind }) => kind === "told");
    if (command === undefined || !cause.startsWith(`deployment:${deployment}/`)) continue;
    told++;
    const success = outcomes.find(({ kind }) => kind === "succeeded");
    const failure = outcomes.find((outcome) => outcome.kind === "failed");
    if (success !== undefined) samplesMs.push(Math.max(0, success.atMs - command.atMs - minHealthyMs));
    if (failure === undefined) continue;
    if (success !== undefined && success.atMs < failure.atMs) failures.flaps++;
    else failures[kindOf(failure.code)]++;
  }
  return { samplesMs: samplesMs.toSorted((one, other) => one - other), told, failures };
}

interface Update {
  cause: string;
  readonly outcomes: Outcome[];
}

/** By instance and generation: what is said of a command names both. */
function updatesIn(events: Iterable<EventView>): Map<string, Update> {
  const updates = new Map<string, Update>();
  for (const event of events) {
    const outcome = outcomeOf(event);
    if (outcome === undefined) continue;
    const key = `${event.subject}/${event.generation}`;
    const update = updates.get(key) ?? { cause: "", outcomes: [] };
    updates.set(key, update);
    update.outcomes.push(outcome);
    if (outcome.kind === "told") update.cause = event.cause ?? "";
  }
  return updates;
}

const failedDataSchema = z.object({ reason: z.object({ code: z.string() }) });

function outcomeOf({ type, time, data }: EventView): Outcome | undefined {
  const atMs = Date.parse(time);
  if (type === "instance.told") return { kind: "told", atMs };
  if (type === "instance.succeeded") return { kind: "succeeded", atMs };
  if (type !== "instance.failed") return undefined;
  const read = failedDataSchema.safeParse(data);
  return { kind: "failed", atMs, code: read.success ? read.data.reason.code : "" };
}

function kindOf(code: string): FailureKind {
  if (buildCodes.test(code)) return "build";
  return hangCodes.test(code) ? "hangs" : "unhealthy";
}
