import { expect, test } from "vitest";
import type { SnapshotFrom } from "xstate";
import {
  type ReconciliationCommand,
  type ReconciliationEvent,
  reconciliationMachine,
  type Wish,
} from "../../machines/reconciliation.js";
import type { FleetFacts } from "../../machines/reconciliation-plan.js";
import { generatePaths, missedBy, walk } from "../kit/paths.js";

type Snapshot = SnapshotFrom<typeof reconciliationMachine>;

const nothing: FleetFacts = {
  instances: [],
  deployments: [],
  desired: new Map(),
  recorded: [],
  named: new Map(),
  files: [],
  halfUploads: 0,
  inventories: [],
  unanswered: [],
};
const twoOrphans: FleetFacts = {
  ...nothing,
  desired: new Map([["gone-1", 1]]),
  recorded: ["d1"],
  unanswered: [{ instance: "web-1", why: "no answer" }],
};

const after = (delay: string, state: string) =>
  ({ type: `xstate.after.${delay}.reconciliation.${state}` }) as unknown as ReconciliationEvent;
const wish = (dryRun: boolean): Wish => ({ dryRun, by: "ann", reason: null });

const generated = generatePaths(reconciliationMachine, {
  starts: [{ name: "fresh", input: { everyMs: 1_000, unit: 0.5 } }],
  events: ({ context: { run } }: Snapshot): ReconciliationEvent[] => [
    { type: "reconcile", wish: wish(false) },
    { type: "reconcile", wish: wish(true) },
    ...[run, run - 1].flatMap((of): ReconciliationEvent[] => [
      { type: "gathered", run: of, facts: nothing },
      { type: "gathered", run: of, facts: twoOrphans },
      { type: "gatheringFailed", run: of, problem: "no ledger" },
      { type: "treated", run: of, outcome: "done", why: "removed" },
    ]),
    { type: "lost" },
    after("next", "resting"),
    after("tooLong", "gathering"),
    after("tooLong", "treating.working"),
  ],
  shorten: ({ value, context: { run, wish: of, todo, treated } }) => [
    value,
    Math.min(run, 2),
    of.dryRun,
    todo.length,
    treated.length,
  ],
});

test("generated paths take every arrow of a reconciliation, and see both outcomes of its guards", () => {
  expect(missedBy(generated)).toEqual({ missed: [], excusedButHit: [] });
});

test.each(generated.paths)(
  "one thing at a time, nothing in a dry run, nothing after the leadership is lost, and each run has one end: $name",
  (path) => {
    let underWay = false;
    let treating = 0;
    const stops = walk(reconciliationMachine, path);
    stops.forEach(({ snapshot, emitted }, at) => {
      const wasOver = at > 0 && stops[at - 1]?.snapshot.value === "over";
      for (const command of emitted as readonly ReconciliationCommand[]) {
        expect(wasOver).toBe(false);
        if (command.type === "gather") {
          expect(underWay).toBe(false);
          underWay = true;
          treating = 0;
        } else if (command.type === "treat") {
          expect(snapshot.context.wish.dryRun).toBe(false);
          expect(snapshot.context.treated.length).toBeGreaterThanOrEqual(treating);
          treating = snapshot.context.treated.length;
        } else {
          expect(underWay).toBe(true);
          underWay = false;
        }
      }
      if (snapshot.value === "resting" || snapshot.value === "over") expect(underWay).toBe(false);
    });
  },
);
