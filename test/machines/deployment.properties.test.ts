import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deploymentFromRecord } from "../../machines/deployment-record.js";
import { publishedState } from "../../machines/deployment-status.js";
import { deploymentRecordSchema } from "../../src/contracts/deployment.js";
import { play, type Story, stories, type Turn } from "./driven-fleet.js";

/** Checks something after each event of random roll-outs. A failure prints the seed and the smallest story that shows it. */
function always(check: (turn: Turn, before: Turn | undefined, story: Story) => void): void {
  fc.assert(
    fc.property(stories, (story) => {
      let before: Turn | undefined;
      play(story, (turn) => {
        check(turn, before, story);
        before = { ...turn, fleet: turn.fleet.map((one) => ({ ...one })) };
      });
    }),
    { numRuns: 500 },
  );
}

const recordOf = ({ deployment }: Turn) => deployment.snapshot.context.record;

describe("whatever happens to a roll-out", () => {
  test("it ends, though nobody looks at it but when something changed or when it asked for it", () => {
    fc.assert(
      fc.property(stories, (story) => {
        const { record } = play(story, () => undefined).snapshot.context;
        expect(record).toMatchObject({ stage: "finished", outcome: record.ending?.outcome });
      }),
      { numRuns: 500 },
    );
  });

  test("what people see is its machine's state, and its record says the same", () => {
    always((turn) => {
      const record = recordOf(turn);
      const { status, state, outcome } = publishedState(turn.deployment.snapshot.value);
      expect(outcome).toBe(record.outcome);
      const byRecord = record.paused !== null ? "paused" : record.held !== null ? "held" : "rolling";
      const expected = {
        preparing: "preparing",
        running: byRecord,
        completing: "rolling",
        reverting: "rolling",
        finished: "finished",
      };
      expect(state).toBe(expected[record.stage]);
      const good = outcome === "completed" || outcome === "rolled_back";
      const over = outcome === null ? "RUNNING" : good ? "COMPLETED" : "FAILED";
      expect(status).toBe(state === "preparing" ? "UNKNOWN" : over);
    });
  });

  test("a new leader finds it in its record in the state that it was in", () => {
    always((turn) => {
      const { value } = turn.deployment.snapshot;
      const record = recordOf(turn);
      const restored = deploymentFromRecord(JSON.parse(JSON.stringify(record)), 0, 0);
      // Whether a step is under way is not kept: whoever takes over looks at what has taken effect.
      const kept =
        typeof value === "object" && "running" in value
          ? { running: { ...value.running, pace: "watching" } }
          : value;
      expect(restored.value).toEqual(kept);
      expect(restored.context.record).toEqual(record);
    });
  });

  test("its record is one that the ledger takes", () => {
    always((turn) => {
      expect(deploymentRecordSchema.parse(recordOf(turn))).toEqual(recordOf(turn));
    });
  });

  test("its outcome is set once, when nothing is left to be done, and its record never changes again", () => {
    always((turn, before) => {
      const record = recordOf(turn);
      if (before !== undefined && recordOf(before).outcome !== null) expect(record).toEqual(recordOf(before));
      if (record.outcome === null) return;
      expect(record.stage).toBe("finished");
      expect(turn.commands.some((command) => "step" in command)).toBe(false);
      const { outcome } = record;
      if (outcome === "completed" || outcome === "rolled_back")
        expect(turn.fleet.every(({ state }) => state === "gone")).toBe(true);
    });
  });

  test("never are more in flight than the batch, over changes of leader too", () => {
    always(({ fleet }, _, { batch }) => {
      expect(fleet.filter(({ state }) => state === "told").length).toBeLessThanOrEqual(batch);
    });
  });

  test("no instance is told twice without a reset", () => {
    always(({ fleet }) => {
      for (const { tells, resets } of fleet) expect(tells).toBeLessThanOrEqual(1 + resets);
    });
  });

  test("nobody is told while it is paused or held, nor once it is ending", () => {
    always(({ commands, deployment }) => {
      if (!commands.some(({ type }) => type === "tell")) return;
      const { record } = deployment.snapshot.context;
      expect([record.stage, record.paused, record.held]).toEqual(["running", null, null]);
    });
  });

  test("at most one rollback comes of it, only of a roll-out that failed or that a person rolls back, never of a rollback", () => {
    let begun = 0;
    always(({ commands, event, deployment }, before, { isRollback, rollback }) => {
      if (before === undefined) begun = 0;
      if (!commands.some(({ type }) => type === "beginRollback")) return;
      begun++;
      expect(begun).toBe(1);
      expect(isRollback).toBe(false);
      expect(event.type === "rollBack" || rollback === "auto").toBe(true);
      expect(deployment.snapshot.context.record.outcome).toBe("failed");
    });
  });

  test("failures that reach the threshold fail it; fewer do not, but for the progress deadline", () => {
    always(({ fleet, deployment }, _, { failureThreshold }) => {
      const { ending } = deployment.snapshot.context.record;
      const spent = fleet.filter(({ hasFailed }) => hasFailed).length;
      if (ending?.reason?.code === "FAILURE_THRESHOLD")
        expect(spent).toBeGreaterThanOrEqual(failureThreshold);
      if (ending?.outcome === "completed" || ending?.outcome === "rolled_back")
        expect(spent).toBeLessThan(failureThreshold);
    });
  });

  test("its clock never runs backwards, nor while it stands", () => {
    always((turn, before) => {
      const { clock, paused, held } = recordOf(turn);
      if (paused !== null || held !== null) expect(clock.runningSinceMs).toBeNull();
      if (before !== undefined) expect(clock.ranMs).toBeGreaterThanOrEqual(recordOf(before).clock.ranMs);
    });
  });
});
