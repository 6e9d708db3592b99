import type {
  ConfigRecord,
  DeploymentRecord,
  DeploymentSpec,
  InstanceRecord,
  Outcome,
  ReleaseRecord,
} from "../../contracts/deployment.js";
import type { Labels } from "../../contracts/instance.js";
import { keys } from "../../contracts/keys.js";
import { manifestSchema } from "../../contracts/release.js";
import { parseSelector } from "../../contracts/selector.js";
import { sameVersion, type VersionPair } from "../../contracts/version.js";
import type { Put } from "../history.js";
import { standInAgent } from "../members.js";
import type { RecordedCase } from "./case-book.js";
import type { Created } from "./event-data.js";
import type { Life } from "./lives.js";

/** What the ledger held when a deployment began, as far as the deployment goes by it. */

const digest = `sha256:${"0".repeat(64)}`;

/** Labels that the selector takes, or just does not. */
export function labelsFor(selector: string | null, isTaken: boolean): Labels {
  const wanted = parseSelector(selector).filter(({ equals }) => equals === isTaken);
  return Object.fromEntries(wanted.map(({ label, value }) => [label, value]));
}

/** What an instance ran before; `null`: nothing. */
export function ranBefore({ created }: RecordedCase, life: Life): VersionPair | null {
  const [claim] = life.claims;
  if (claim === undefined) return null;
  const { target, before, state, urgent = false } = claim;
  if (state === "notNeeded") return target;
  if (created.rollbackOf !== null) return urgent ? null : wantedBy(created, before);
  return sameVersion(before, target) ? null : before;
}

/** What a deployment makes of an instance. */
function wantedBy({ release, config }: Created, base: VersionPair | null): VersionPair | null {
  const version = release ?? base?.release;
  return version === undefined ? null : { release: version, config: config ?? base?.config ?? null };
}

/** The least that an instance must have been about to run for a deployment to want this of it. */
function baseFor({ release, config }: Created, target: VersionPair, before: VersionPair | null): VersionPair {
  return {
    release: release === null ? target.release : (before?.release ?? target.release),
    config: config === null ? target.config : (before?.config ?? null),
  };
}

function instanceRecord(recorded: RecordedCase, life: Life, atMs: number): InstanceRecord {
  const { created } = recorded;
  const [claim] = life.claims;
  const { before = null, target = null, urgent = false, generation = 0 } = claim ?? {};
  const told = life.tellings[0]?.generation;
  const earlier = created.rollbackOf ?? created.retryOf;
  const result = created.rollbackOf !== null && !urgent ? "succeeded" : "failed";
  const record: InstanceRecord = {
    ...newRecord(life.id, labelsFor(created.selector, true), atMs),
    generation: told === undefined ? generation : Math.max(0, told - 1),
    // What runs nothing has been told something and did not get there.
    desired: ranBefore(recorded, life) ?? target ?? wantedBy(created, before),
    stable: before,
    last: earlier === null ? null : { deployment: earlier, before, result },
  };
  const isByBefore = created.rollbackOf !== null || sameVersion(wantedBy(created, before), target);
  if (target === null || isByBefore) return record;
  // What it was about to run is neither what it ran nor what is wanted: something else was told to it, and did not get there.
  const base = baseFor(created, target, before);
  if (before === null) return record;
  const owedBy = earlier ?? "before";
  return {
    ...record,
    desired: base,
    owed: { deployment: owedBy, target: base, minHealthyMs: 0 },
    last: { deployment: owedBy, before, result: "failed" },
  };
}

function newRecord(id: string, labels: Labels, atMs: number): InstanceRecord {
  return {
    format: 1,
    id,
    agent: standInAgent,
    labels,
    joinedAtMs: atMs,
    generation: 0,
    desired: null,
    stable: null,
    claim: null,
    last: null,
    owed: null,
    resetGeneration: 0,
  };
}

/** What an older log does not say of a deployment: the defaults of a release and of the command line. */
const assumedRules = {
  minHealthyMs: 10_000,
  deadlineMs: 900_000,
  progressDeadlineMs: 1_200_000,
  rollback: "auto",
  onStuck: "fail",
} as const;

export function specOf({ created }: RecordedCase): DeploymentSpec {
  const { release, config, selector, batch, failureThreshold } = created;
  const { askedBatch = batch, askedThreshold = failureThreshold } = created;
  const { minHealthyMs = assumedRules.minHealthyMs, deadlineMs = assumedRules.deadlineMs } = created;
  const { progressDeadlineMs = assumedRules.progressDeadlineMs } = created;
  const { rollback = assumedRules.rollback, onStuck = assumedRules.onStuck } = created;
  return {
    release,
    config,
    selector,
    batch: askedBatch,
    failureThreshold: askedThreshold,
    minHealthyMs,
    deadlineMs,
    progressDeadlineMs,
    rollback,
    ...(onStuck === "report" && { onStuck }),
    reason: null,
  };
}

/** A deployment that was over before: one that is tried again or taken back, or that brought what newcomers get. */
function earlierRecord(
  recorded: RecordedCase,
  which: { id: string; outcome: Outcome; rollbackOf?: string; release?: string | null },
  atMs: number,
): DeploymentRecord {
  const { batch, failureThreshold, matched } = recorded.created;
  const spec = specOf(recorded);
  const { id, outcome, rollbackOf = null, release = spec.release } = which;
  return {
    format: 1,
    id,
    generation: 1,
    requestKey: null,
    created: { by: "replay", atMs, reason: null },
    spec: release === spec.release ? spec : { ...spec, release, config: null },
    release: release === null ? null : releaseRecord(release).release,
    config: spec.config === null ? null : configRecord(spec.config).config,
    rollbackOf,
    retryOf: null,
    batch,
    failureThreshold,
    matched,
    stage: "finished",
    paused: null,
    held: null,
    forced: false,
    clock: { ranMs: 0, runningSinceMs: null },
    movedAtMs: 0,
    stuckAtMs: null,
    leftFailed: 0,
    ending: { outcome, reason: null },
    outcome,
    finishedAtMs: atMs,
    counts: null,
  };
}

function earlierRecords(recorded: RecordedCase, lives: Iterable<Life>, atMs: number): DeploymentRecord[] {
  const { rollbackOf, retryOf } = recorded.created;
  const records: DeploymentRecord[] = [];
  if (rollbackOf !== null) records.push(earlierRecord(recorded, { id: rollbackOf, outcome: "failed" }, atMs));
  if (retryOf !== null && rollbackOf !== null)
    records.push(earlierRecord(recorded, { id: retryOf, outcome: "rollback_failed", rollbackOf }, atMs));
  else if (retryOf !== null) records.push(earlierRecord(recorded, { id: retryOf, outcome: "failed" }, atMs));
  const before = numberBefore(recorded.id);
  if (before !== undefined && !records.some(({ id }) => id === before))
    records.push(earlierRecord(recorded, { id: before, outcome: "aborted" }, atMs));
  for (const { isFromTheBeginning, claims } of lives) {
    const before = claims[0]?.before ?? null;
    if (isFromTheBeginning || before === null) continue;
    // Newcomers get what the newest completed deployment has brought.
    const brought = { id: "before", outcome: "completed", release: before.release } as const;
    return [...records, earlierRecord(recorded, brought, atMs)];
  }
  return records;
}

/** The deployment whose successor gets the same name as in the log: `d6` of `d7`. */
function numberBefore(id: string): string | undefined {
  const number = Number(/^d(\d{1,15})$/.exec(id)?.[1] ?? 0);
  return number > 1 ? `d${number - 1}` : undefined;
}

function releaseRecord(version: string): ReleaseRecord {
  const manifest = manifestSchema.parse({
    start: "replayed",
    // Whether its checks fit its deadlines was decided when it was made.
    healthCheck: { type: "tcp", intervalMs: 50, timeoutMs: 50 },
  });
  const source = { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } } as const;
  const pushed = { by: "replay", atMs: 0, reason: null };
  return { format: 1, release: { version, source, manifest }, digest, pushed };
}

function configRecord(version: string): ConfigRecord {
  const pushed = { by: "replay", atMs: 0, reason: null };
  return { format: 1, config: { version, object: { name: version, digest, sizeBytes: 1 } }, pushed };
}

/** All that the ledger holds when the replay begins. */
export function recordsFor(
  recorded: RecordedCase,
  lives: ReadonlyMap<string, Life>,
  { atMs, bystanders }: { atMs: number; bystanders: readonly string[] },
): Put[] {
  const { created } = recorded;
  const members = [...lives.values()].filter(({ isFromTheBeginning }) => isFromTheBeginning);
  const pairs = [...lives.values()].flatMap(({ claims }) => claims.flatMap((c) => [c.target, c.before]));
  const releases = new Set([created.release, ...pairs.map((pair) => pair?.release ?? null)]);
  const configs = new Set([created.config, ...pairs.map((pair) => pair?.config ?? null)]);
  const puts: Put[] = [];
  for (const version of releases)
    if (version !== null) puts.push({ key: keys.release(version), value: releaseRecord(version) });
  for (const version of configs)
    if (version !== null) puts.push({ key: keys.config(version), value: configRecord(version) });
  for (const record of earlierRecords(recorded, lives.values(), atMs))
    puts.push({ key: keys.deployment(record.id), value: record });
  for (const life of members)
    puts.push({ key: keys.instance(life.id), value: instanceRecord(recorded, life, atMs) });
  const others = labelsFor(created.selector, false);
  for (const id of bystanders) puts.push({ key: keys.instance(id), value: newRecord(id, others, atMs) });
  return puts;
}
