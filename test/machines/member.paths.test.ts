import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import { type MemberEvent, memberMachine, reportedHealth } from "../../machines/member.js";
import type { InstanceRecord } from "../../src/contracts/deployment.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";
import { broken, instanceOf, sightingOf, v1, v2 } from "./samples.js";

type Snapshot = SnapshotFrom<typeof memberMachine>;

/** What an instance may say of the newest thing that it was told, and of what it was told before. */
function reportsIn({ context: { record } }: Snapshot): MemberEvent[] {
  const observedGeneration = record.generation;
  return [
    report({ observedGeneration, health: "UNKNOWN" }),
    report({ observedGeneration, running: v1 }),
    report({ observedGeneration, running: v2 }),
    report({ observedGeneration, running: v2, healthyForMs: 9_999 }),
    report({ observedGeneration, health: "DEGRADED", running: v2 }),
    report({ observedGeneration, health: "FAILED", running: v2 }),
    report({ observedGeneration, health: "UNKNOWN", running: null, phase: "STOPPED" }),
    report({ observedGeneration: Math.max(0, observedGeneration - 1), running: v2 }),
    report({ observedGeneration: Math.max(0, observedGeneration - 1), health: "FAILED", running: v2 }),
  ];
}

function report(changes: Parameters<typeof sightingOf>[0]): MemberEvent {
  return { type: "report", sighting: sightingOf(changes) };
}

const owed = { deployment: "d0", target: v2, minHealthyMs: 10_000 };
const deadlineMs = 100_000;

const others: readonly MemberEvent[] = [
  { type: "silent" },
  { type: "stranger", agent: "a2" },
  { type: "claim", deployment: "d1", target: v2, before: v1, urgent: false, minHealthyMs: 10_000 },
  { type: "claim", deployment: "d2", target: v1, before: v1, urgent: true, minHealthyMs: 10_000 },
  { type: "tell", deployment: "d1", toldAtMs: 0, deadlineMs },
  { type: "catchUp", deployment: "d0", deadlineMs },
  { type: "expire", reason: broken },
  { type: "release", completed: true },
  { type: "release", completed: false },
  { type: "release", completed: false, goBack: { deadlineMs } },
  { type: "reset", deadlineMs },
  { type: "owe", owed },
  { type: "owe", owed: null },
  { type: "bind", agent: "a2", deadlineMs },
  { type: "resend", deadlineMs },
];

const was = (result: NonNullable<InstanceRecord["last"]>["result"]) =>
  instanceOf({ generation: 1, desired: v1, stable: v1, last: { deployment: "d0", before: v1, result } });

const generated = generatePaths(memberMachine, {
  starts: [
    { name: "joined", input: { record: instanceOf() } },
    { name: "joined late", input: { record: instanceOf({ owed }) } },
    { name: "under way", input: { record: was("told") } },
    { name: "done", input: { record: was("succeeded") } },
    { name: "failed", input: { record: was("failed") } },
  ],
  events: (snapshot) => [...reportsIn(snapshot), ...others],
  shorten: ({ value, context }) => {
    const { record, seen, silent } = context;
    const { claim, last, desired } = record;
    return [
      value,
      desired?.release,
      claim && [
        claim.deployment,
        claim.state,
        claim.target?.release,
        claim.toldAtMs !== null || claim.hasFailed,
      ],
      claim === null && [last?.deployment, last?.result],
      record.owed?.deployment,
      record.resetGeneration >= record.generation,
      silent,
      seen && [
        reportedHealth(context),
        seen.observedGeneration >= record.generation,
        seen.state.running?.release,
        seen.healthyForMs >= 10_000,
      ],
    ];
  },
});

test("generated paths take every arrow of the member, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

test.each(generated.paths)("what is published is what the facts say: $name", (path) => {
  for (const { snapshot, emitted } of walk(memberMachine, path)) {
    expect(snapshot.value.status).toBe(reportedHealth(snapshot.context));
    const desires = emitted.filter(({ type }) => type === "desire");
    expect(desires.length).toBeLessThanOrEqual(1);
  }
});
