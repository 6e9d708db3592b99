import type { InstanceRecord, Mark, ReleaseRecord } from "../contracts/deployment.js";
import type { Labels } from "../contracts/instance.js";
import { keys } from "../contracts/keys.js";
import { type Manifest, manifestSchema } from "../contracts/release.js";
import type { Put } from "./history.js";
import type { RehearsalPlan } from "./plan.js";

/** An instance of a simulated fleet. */
export interface Member {
  readonly id: string;
  readonly labels: Labels;
}

/** What every instance runs when the rehearsal begins. */
export const oldVersion = "old";
/** What is rolled out. */
export const newVersion = "new";
/** The agent that stand-ins report under. */
export const standInAgent = "stand-ins";

/** `i-1` and so on, group by group. */
export function membersOf({ fleet }: RehearsalPlan): readonly Member[] {
  const members: Member[] = [];
  for (const { instances, labels } of fleet)
    for (let count = 0; count < instances; count++) members.push({ id: `i-${members.length + 1}`, labels });
  return members;
}

function manifestOf({ healthCheck, stuckMs, strategy }: RehearsalPlan): Manifest {
  return manifestSchema.parse({
    start: "simulated",
    healthCheck: { type: "http", path: "/health", ...healthCheck },
    minHealthyMs: strategy.minHealthyMs,
    deadlineMs: strategy.deadlineMs,
    stuckMs,
    // A process that ends has failed: how often it would be restarted is part of the update time.
    restarts: 0,
  });
}

function releaseRecord(version: string, manifest: Manifest, pushed: Mark): ReleaseRecord {
  const digest = `sha256:${"0".repeat(64)}`;
  const source = { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } } as const;
  return { format: 1, release: { version, source, manifest }, digest, pushed };
}

function instanceRecord({ id, labels }: Member, atMs: number): InstanceRecord {
  const version = { release: oldVersion, config: null };
  return {
    format: 1,
    id,
    agent: standInAgent,
    labels,
    joinedAtMs: atMs,
    generation: 1,
    desired: version,
    stable: version,
    claim: null,
    last: null,
    owed: null,
    resetGeneration: 0,
  };
}

/** What a fleet's ledger holds: the releases, and instances that run the old one, if they are given. */
export function historyOf({
  plan,
  members,
  atMs,
}: {
  plan: RehearsalPlan;
  members: readonly Member[];
  atMs: number;
}): Put[] {
  const manifest = manifestOf(plan);
  const mark = { by: "simulator", atMs, reason: null };
  const releases = [oldVersion, newVersion].map((version) => ({
    key: keys.release(version),
    value: releaseRecord(version, manifest, mark),
  }));
  const instances = members.map((member) => ({
    key: keys.instance(member.id),
    value: instanceRecord(member, atMs),
  }));
  return [...releases, ...instances];
}
