import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import { deploymentMachine } from "../../machines/deployment.js";
import type { Observed } from "../../machines/deployment-plan.js";
import { type DeploymentEvent, isPastProgressDeadline, isSettled } from "../../machines/deployment-record.js";
import { publishedState } from "../../machines/deployment-status.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";
import { byAnna, deploymentOf, flightOf, mass, observedOf } from "./samples.js";

type Snapshot = SnapshotFrom<typeof deploymentMachine>;

/** Before this leader may judge, after it, after every instance's deadline, and after the progress deadline. */
const moments = [1_000, 10_000, 400_000, 2_000_000];

const flights = [flightOf("i1"), flightOf("i2")];
const allWaiting = { waiting: 10 };
const batchFull = { waiting: 8, next: ["i3", "i4"], flights, returnable: 2 };
const nobodyLeft = { waiting: 0, next: [] };

/** How a roll-out may stand, as its members show it. */
const standings: readonly Omit<Partial<Observed>, "step">[] = [
  allWaiting,
  { ...allWaiting, unwritten: 1 },
  batchFull,
  { ...batchFull, silence: mass },
  { ...batchFull, silence: { ...mass, newlySilent: 0 } },
  { ...batchFull, silence: { ...mass, silent: 1, newlySilent: 0, calmSinceMs: 0 } },
  { ...batchFull, flights: [], failed: 2, everFailed: 2 },
  { ...batchFull, flights: [], failed: 2, everFailed: 2, returnable: 0 },
  { ...nobodyLeft, succeeded: 9, failed: 1, everFailed: 1, returnable: 9 },
  { ...nobodyLeft, total: 0 },
];

function eventsIn({ context }: Snapshot): DeploymentEvent[] {
  const atMs = context.nowMs;
  const steps = [...new Set([context.step, Math.max(0, context.step - 1)])];
  const observations = moments
    .filter((nowMs) => nowMs >= atMs)
    .flatMap((nowMs) =>
      steps.flatMap((step) =>
        standings.map(
          (standing): DeploymentEvent => ({
            type: "observe",
            observed: observedOf({ ...standing, step }),
            moved: false,
            nowMs,
          }),
        ),
      ),
    );
  const movement: DeploymentEvent = {
    type: "observe",
    observed: observedOf({ ...batchFull, step: context.step }),
    moved: true,
    movedAgoMs: 1_000,
    nowMs: atMs,
  };
  return [
    ...observations,
    movement,
    { type: "pause", mark: byAnna(atMs) },
    { type: "resume", mark: byAnna(atMs), force: false },
    { type: "resume", mark: byAnna(atMs), force: true },
    { type: "abort", mark: byAnna(atMs) },
    { type: "rollBack", mark: byAnna(atMs) },
    { type: "left", failed: true },
    { type: "left", failed: false },
    { type: "takenOver" },
  ];
}

const input = (record: ReturnType<typeof deploymentOf>) => ({ record, nowMs: 0, judgeFromMs: 5_000 });

const generated = generatePaths(deploymentMachine, {
  starts: [
    { name: "roll-out", input: input(deploymentOf()) },
    { name: "roll-out that stays where it fails", input: input(deploymentOf({ spec: { rollback: "off" } })) },
    {
      name: "roll-out of which it is only reported that it is stuck",
      input: input(deploymentOf({ spec: { onStuck: "report" } })),
    },
    { name: "rollback", input: input(deploymentOf({ id: "d2", rollbackOf: "d1" })) },
  ],
  events: eventsIn,
  shorten: ({ value, context }) => {
    const { record, observed, plan, nowMs } = context;
    return [
      value,
      nowMs,
      record.forced,
      record.ending?.outcome,
      isSettled(context),
      observed?.total === 0,
      (observed?.returnable ?? 0) > 0,
      isPastProgressDeadline(context),
      plan && [
        plan.stuck,
        plan.verdict,
        plan.tell.length > 0,
        plan.overdue.length > 0,
        plan.massSilence,
        plan.silenceOver,
      ],
    ];
  },
});

test("generated paths take every arrow of the deployment, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

test.each(generated.paths)(
  "its outcome is set once, at its end, and what is published is its state: $name",
  (path) => {
    let outcome: string | null = null;
    for (const { snapshot } of walk(deploymentMachine, path)) {
      const { record } = snapshot.context;
      if (outcome !== null) expect(record.outcome).toBe(outcome);
      outcome = record.outcome;
      const { state } = publishedState(snapshot.value);
      expect(state === "finished").toBe(outcome !== null);
      expect(state === "paused").toBe(record.paused !== null && record.stage === "running");
    }
  },
);
