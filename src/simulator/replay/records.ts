import type { InstanceRecord } from "../../contracts/deployment.js";
import type { Labels } from "../../contracts/instance.js";
import { keys } from "../../contracts/keys.js";
import { parseSelector } from "../../contracts/selector.js";
import { sameVersion, type VersionPair } from "../../contracts/version.js";
import type { Put } from "../history.js";
import { standInAgent } from "../members.js";
import type { RecordedCase } from "./case-book.js";
import { earlierRecords } from "./earlier.js";
import type { Created } from "./event-data.js";
import type { Life } from "./lives.js";
import { configRecord, releaseRecord } from "./versions.js";

/** What the ledger held when a deployment began, as far as the deployment goes by it. */

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
  if (target === null || before === null || isByBefore) return record;
  // What it was about to run is neither what it ran nor what is wanted: something else was told to it, and did not get there.
  const base = baseFor(created, target, before);
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
