import type { DeploymentRecord } from "../src/contracts/deployment.js";
import { ageText, durationText } from "../src/contracts/duration.js";
import type { Why } from "../src/contracts/views.js";
import type { InFlight } from "./deployment-plan.js";
import { type DeploymentContext, ranMs } from "./deployment-record.js";

/** What is known of an instance that a sentence may name. */
export interface Blocker {
  readonly phase: string | null;
  readonly note: string;
  readonly reportAgeMs: number | null;
}

const ending: Readonly<Record<string, string>> = {
  completed: "It has completed",
  failed: "It has failed",
  aborted: "It was aborted",
  rolled_back: "Every touched instance is back on what was stable before",
  rollback_failed: "The way back has failed, and a person is needed",
};

/**
 * The one sentence for "why is it not further?": the rule, who blocks it, the clock that runs and what happens at
 * its end. Command line, API and page show the same one.
 */
export function whyOf(context: DeploymentContext, nowMs: number, about: (instance: string) => Blocker): Why {
  const { record, observed } = context;
  if (record.stage === "finished") return finishedWhy(record);
  if (record.stage === "preparing")
    return why("preparing", "It is taking its instances as its own; nobody has been told anything yet.");
  if (record.stage !== "running")
    return why(
      "ending",
      `${record.ending?.reason?.message ?? "Every instance is done."} Its last writes are under way.`,
    );
  if (record.paused !== null) {
    const said = record.paused.reason === null ? "" : ` (${record.paused.reason})`;
    return why(
      "paused",
      `Paused by ${record.paused.by}${said}; it goes on by rollcall deployments resume ${record.id}.`,
    );
  }
  if (record.held !== null) return heldWhy(context);
  if (nowMs < context.judgeFromMs && observed === null)
    return why(
      "taken-over",
      "A new leader has taken it over and listens before it judges.",
      [],
      context.judgeFromMs,
    );
  if (observed === null || observed.step !== context.step || observed.unwritten > 0)
    return why("writing", "Its last step is on the way into the ledger.");
  const stands = standsWhy(context, nowMs, about);
  if (record.stuckAtMs === null) return stands;
  const deadline = durationText(record.spec.progressDeadlineMs);
  const stuck = `Stuck for ${durationText(nowMs - record.stuckAtMs)}: no instance had moved for ${deadline}, the progress deadline`;
  return {
    ...stands,
    rule: "stuck",
    sentence: `${stuck}; that is only reported, so abort it by rollcall deployments abort ${record.id}, or wait. ${stands.sentence}`,
  };
}

/** What it waits for while it rolls. */
function standsWhy(context: DeploymentContext, nowMs: number, about: (instance: string) => Blocker): Why {
  const { observed } = context;
  if (observed === null) return why("writing", "Its last step is on the way into the ledger.");
  const [first] = observed.flights;
  if (first !== undefined) return inFlightWhy(context, first, nowMs, about);
  const waiting = observed.waiting + observed.urgent;
  if (waiting > 0 && observed.next.length + observed.urgent === 0)
    return why(
      "taken-over",
      `${waiting} of its instances were not heard of since a new leader took it over.`,
    );
  if (waiting === 1) return why("next-batch", "1 instance waits for its turn.");
  if (waiting > 1) return why("next-batch", `${waiting} instances wait for their turn.`);
  const silent =
    observed.unreachable === 1
      ? "1 instance is silent and is left out"
      : `${observed.unreachable} instances are silent and are left out`;
  return why("unreachable", `${silent}; the others are done.`);
}

function why(
  rule: string,
  sentence: string,
  blocking: readonly string[] = [],
  nextAtMs: number | null = null,
): Why {
  return { rule, sentence, blocking: [...blocking], nextAtMs };
}

function finishedWhy(record: DeploymentRecord): Why {
  const how = ending[record.outcome ?? "failed"] ?? "It is over";
  return why("finished", record.ending?.reason ? `${how}: ${record.ending.reason.message}` : `${how}.`);
}

function heldWhy({ record, observed }: DeploymentContext): Why {
  const silence = observed?.silence;
  const now = silence ? ` ${silence.silent} of ${silence.others} are silent now.` : "";
  const calmAtMs = silence && silence.calmSinceMs !== null ? silence.calmSinceMs + silence.windowMs : null;
  return why(
    "mass-silence",
    `Held: ${record.held?.reason}, so the network is suspect, not the release.${now} It goes on when less than 15 % have been silent for one window, or by rollcall deployments resume --force ${record.id}.`,
    [],
    calmAtMs,
  );
}

/** The instance whose deadline comes first stands for all of them. */
function inFlightWhy(
  { record, observed }: DeploymentContext,
  first: InFlight,
  nowMs: number,
  about: (instance: string) => Blocker,
): Why {
  const { flights = [], awaited = 0 } = observed ?? {};
  const ran = ranMs(record, nowMs);
  const blocker = about(first.instance);
  const heard =
    blocker.reportAgeMs === null ? "not heard of yet" : `last report ${ageText(blocker.reportAgeMs)}`;
  const phase = blocker.phase === null ? "" : `, phase ${blocker.phase}`;
  const waiting = observed?.waiting ?? 0;
  const rule = waiting > 0 ? "waiting-for-slot" : "in-flight";
  const lead =
    waiting > 0 ? `${waiting} wait for a free one of ${record.batch} slots` : `${awaited} in flight`;
  const others = awaited > 1 ? ` and ${awaited - 1} more` : "";
  const sentence = `${lead}: ${first.instance} has been updating for ${durationText(ran - first.toldAtMs)} (deadline ${durationText(record.spec.deadlineMs)}, then it counts as failed; ${heard}${phase})${others}. ${failuresText(record, observed?.everFailed ?? 0)}`;
  return why(
    rule,
    sentence,
    flights.slice(0, 20).map((flight) => flight.instance),
    nowMs + Math.max(0, first.toldAtMs + record.spec.deadlineMs - ran),
  );
}

function failuresText(record: DeploymentRecord, failed: number): string {
  return `${failed + record.leftFailed} of ${record.failureThreshold} failures that end it.`;
}
