import { countsOf, type Observed } from "../../machines/deployment-plan.js";
import { publishedState } from "../../machines/deployment-status.js";
import { whyOf } from "../../machines/deployment-why.js";
import type { Sighting } from "../../machines/member.js";
import type { ConfigRecord, Counts, ReleaseRecord } from "../contracts/deployment.js";
import { ageText } from "../contracts/duration.js";
import type { Reason } from "../contracts/instance.js";
import type { VersionPair } from "../contracts/version.js";
import { sameVersion, versionText } from "../contracts/version.js";
import type { ConfigView, DeploymentView, InstanceView, ReleaseView, StuckView } from "../contracts/views.js";
import type { MemberState } from "./members.js";
import type { DeploymentState } from "./roll-out.js";

/** What people see, made from the machines' states at the moment in which they ask. */

const nothing: Counts = {
  total: 0,
  notNeeded: 0,
  waiting: 0,
  inFlight: 0,
  succeeded: 0,
  failed: 0,
  unreachable: 0,
};

export function deploymentView(
  snapshot: DeploymentState,
  facts: {
    nowMs: number;
    rolledBackBy: string | null;
    /** The ledger has its record as it is. */
    isWritten: boolean;
    observed: Observed | null;
    about: (instance: string) => { phase: string | null; note: string; reportAgeMs: number | null };
  },
): DeploymentView {
  const { context, value } = snapshot;
  const { record } = context;
  // An outcome is one once the ledger has it; another leader might come to another.
  const isEnding = record.outcome !== null && !facts.isWritten;
  return {
    id: record.id,
    ...publishedState(isEnding ? "completing" : value),
    reason: record.ending?.reason ?? null,
    spec: record.spec,
    rollbackOf: record.rollbackOf,
    retryOf: record.retryOf,
    rolledBackBy: facts.rolledBackBy,
    batch: record.batch,
    failureThreshold: record.failureThreshold,
    matched: record.matched,
    counts: record.counts ?? (facts.observed === null ? nothing : countsOf(facts.observed)),
    created: record.created,
    paused: record.paused,
    held: record.held,
    finishedAtMs: isEnding ? null : record.finishedAtMs,
    generation: record.generation,
    // What a person asked for is in the record once the machine has acted on it.
    observedGeneration: record.generation,
    why: whyOf(
      {
        ...context,
        record: isEnding ? { ...record, stage: "completing" } : record,
        observed: facts.observed ?? context.observed,
      },
      facts.nowMs,
      facts.about,
    ),
  };
}

export function instanceView(snapshot: MemberState, reportAgeMs: number | null): InstanceView {
  const { context, value } = snapshot;
  const { record, seen } = context;
  const state = seen?.state;
  return {
    id: record.id,
    agent: record.agent,
    labels: record.labels,
    status: value.status,
    updateState: value.update,
    reason: context.silent
      ? { code: "SILENT", message: "It has missed its reports." }
      : (failureOf(snapshot) ?? state?.reason ?? null),
    desired: record.desired,
    running: state?.running ?? null,
    stable: record.stable,
    generation: record.generation,
    observedGeneration: seen?.observedGeneration ?? 0,
    phase: state?.phase ?? null,
    progress: state?.progress ?? 0,
    note: state?.note ?? "",
    port: state?.port ?? null,
    pid: state?.pid ?? null,
    restarts: state?.restarts ?? 0,
    reportAgeMs,
    deployment: record.claim?.deployment ?? null,
    claim: record.claim?.state ?? null,
    why: instanceWhy(snapshot, reportAgeMs),
  };
}

/** Why its update has failed, while it counts as failed. */
function failureOf({ context: { record }, value }: MemberState): Reason | null {
  if (value.update !== "FAILED") return null;
  return (record.claim === null ? record.last?.reason : record.claim.reason) ?? null;
}

/** A deployment of which nothing moves. */
export function stuckDeployment({ id, why }: DeploymentView, foundAtMs: number | null): StuckView {
  const { sentence } = why;
  return {
    kind: "deployment",
    id,
    deployment: id,
    code: "PROGRESS_DEADLINE",
    action: "reported",
    foundAtMs,
    sentence,
  };
}

/** An instance that stands where a phase of its did not move. */
export function stuckPhase(member: MemberState): StuckView | undefined {
  const reason = failureOf(member);
  if (reason?.code !== "PHASE_STUCK") return undefined;
  const { id, claim, last } = member.context.record;
  const { code, message: sentence } = reason;
  const deployment = claim?.deployment ?? last?.deployment ?? null;
  return { kind: "phase", id, deployment, code, action: "failed", foundAtMs: null, sentence };
}

/** Why it stands where it stands: what hides everything else first. */
function instanceWhy(snapshot: MemberState, reportAgeMs: number | null): string {
  const { record, seen, silent, stranger } = snapshot.context;
  if (stranger !== null)
    return `Agent ${stranger} reports under this name too, but it belongs to agent ${record.agent}: stop one of them, or move it by rollcall instances takeover ${record.id}.`;
  if (silent)
    return `It has missed its reports${reportAgeMs === null ? "" : `; the last one came ${ageText(reportAgeMs)}`}.`;
  if (seen === null) return "Nothing was heard of it since this coordinator leads.";
  if (seen.ledger !== "own" && seen.observedGeneration !== record.generation)
    return `It acts on what a ledger before this one told it (generation ${seen.observedGeneration}, this one knows ${record.generation}), and keeps ${seen.state.running === null ? "running nothing" : versionText(seen.state.running)} until something is deployed there.`;
  if (seen.observedGeneration < record.generation)
    return `It has not acted on what was asked of it yet (generation ${record.generation}, it is at ${seen.observedGeneration}).`;
  return updateWhy(snapshot, seen);
}

function updateWhy(snapshot: MemberState, { state }: Sighting): string {
  const { value, context } = snapshot;
  const { record } = context;
  switch (value.update) {
    case "IN_PROGRESS":
      return `On its way to ${versionText(record.desired)}: ${state.phase} ${state.progress} %${state.note === "" ? "" : `, ${state.note}`}.`;
    case "FAILED":
      return (failureOf(snapshot) ?? state.reason)?.message ?? "Its last update failed.";
    case "NEEDING_UPDATE":
      return record.claim === null
        ? `Deployment ${record.owed?.deployment} still owes it ${versionText(record.owed?.target ?? null)}.`
        : `It waits for its turn to get ${versionText(record.claim.target)}.`;
    default:
      return statusWhy(snapshot, state);
  }
}

function statusWhy({ value, context: { record } }: MemberState, state: Sighting["state"]): string {
  if (value.status !== "HEALTHY" && state.reason !== null) return state.reason.message;
  const runs = state.running === null ? "nothing" : versionText(state.running);
  if (value.update === "COMPLETED" && !sameVersion(state.running, record.desired))
    return `It should run ${versionText(record.desired)}, but runs ${runs}.`;
  return state.running === null ? "It runs nothing." : `It runs ${runs}.`;
}

/** How many members run a version now, and for how many it is the stable one. */
export interface Usage {
  readonly running: number;
  readonly stable: number;
}

/** Counts all versions in one pass: there may be 100,000 members and 1,000 versions. */
export function usageOf(
  members: Iterable<MemberState>,
  partOf: (version: VersionPair) => string | null,
): (version: string) => Usage {
  const usage = new Map<string, { running: number; stable: number }>();
  const count = (version: VersionPair | null | undefined, as: keyof Usage) => {
    const part = version ? partOf(version) : null;
    if (part === null) return;
    const counted = usage.get(part) ?? { running: 0, stable: 0 };
    counted[as]++;
    usage.set(part, counted);
  };
  for (const { context } of members) {
    count(context.seen?.state.running, "running");
    count(context.record.stable, "stable");
  }
  return (version) => usage.get(version) ?? { running: 0, stable: 0 };
}

export function releaseView(record: ReleaseRecord, usage: Usage): ReleaseView {
  const { version, source } = record.release;
  const from =
    source.kind === "git"
      ? `git ${source.url}#${source.ref}`
      : source.kind === "image"
        ? `image ${source.image}`
        : "artifact";
  return {
    version,
    source: from,
    digest: record.digest,
    sizeBytes: source.kind === "artifact" ? source.object.sizeBytes : null,
    pushed: record.pushed,
    ...usage,
  };
}

export function configView(record: ConfigRecord, usage: Usage): ConfigView {
  const { version, object } = record.config;
  return { version, digest: object.digest, sizeBytes: object.sizeBytes, pushed: record.pushed, ...usage };
}
