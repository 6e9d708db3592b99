import { describe, expect, test } from "vitest";
import { isLeftBehind, restoredDeployment } from "../../machines/restored.js";
import type { DeploymentRecord } from "../../src/contracts/deployment.js";
import { driveMember } from "./drive.js";
import { claim, onV1, recordOf, report, reset, tell, update } from "./happenings.js";
import { broken, byAnna, deploymentOf, v1, v2 } from "./samples.js";

const mark = { by: "anna", atMs: 90_000, reason: "the ledger was restored" };
const clock = { ranMs: 1_000, runningSinceMs: 60_000 };

function restored(changes: Partial<DeploymentRecord>) {
  return restoredDeployment({ ...deploymentOf(), clock, ...changes }, mark);
}

describe("a restored deployment", () => {
  test("that rolled waits for a person; its clock stands still", () => {
    expect(restored({ stage: "running", generation: 3 })).toMatchObject({
      kind: "paused",
      record: { paused: mark, generation: 4, clock: { ranMs: 31_000, runningSinceMs: null }, outcome: null },
    });
  });

  test("that a person had paused stays as it was", () => {
    expect(restored({ stage: "running", paused: byAnna(5) })).toEqual({ kind: "kept" });
  });

  test.each(["finished", "completing"] as const)(
    "that tells nobody anything any more stays as it was: %s",
    (stage) => {
      expect(restored({ stage })).toEqual({ kind: "kept" });
    },
  );

  test("that had told nobody anything is over", () => {
    expect(restored({ stage: "preparing" })).toMatchObject({
      kind: "ended",
      record: {
        stage: "finished",
        outcome: "aborted",
        finishedAtMs: 90_000,
        ending: { outcome: "aborted", reason: { code: "RESTORED", message: "the ledger was restored" } },
      },
    });
  });

  test("that was sending instances back is over, as it was to end", () => {
    const ending = { outcome: "failed", reason: broken } as const;
    expect(restored({ stage: "reverting", ending })).toMatchObject({
      kind: "ended",
      record: { stage: "finished", outcome: "failed", ending },
    });
  });
});

test("what a ledger keeps of itself stays behind, and so do desired states: none means keep what you run", () => {
  const keys = ["ledger", "lease", "epoch", "event-head", "desired.instance.i1", "event.deployment.d1.7"];
  expect(keys.filter(isLeftBehind)).toEqual(keys);
  expect(["instance.i1", "deployment.d1", "release.v1", "config.c1", "formats"].filter(isLeftBehind)).toEqual(
    [],
  );
});

describe("an instance that acts on the word of a ledger before this one", () => {
  const later = { ledger: "earlier", observedGeneration: 7 } as const;

  test.each(["HEALTHY", "FAILED"] as const)(
    "neither succeeds nor fails by what this one does not know: %s",
    (health) => {
      const member = driveMember(onV1);
      member.send(
        report({ observedGeneration: 1 }),
        claim(),
        tell,
        report({ ...later, running: v2, health }),
      );
      expect(update(member)).toBe("IN_PROGRESS");
    },
  );

  test("succeeds by what this one knows too", () => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1 }), claim(), tell);
    member.send(report({ ledger: "earlier", observedGeneration: 2, running: v2 }));
    expect(update(member)).toBe("COMPLETED");
  });

  test("is told above everything that it was ever told", () => {
    const member = driveMember(onV1);
    member.send(report({ ...later, running: v2 }), claim({ target: v1 }));
    const [desire] = member.send(tell);
    expect(desire).toMatchObject({ type: "desire", generation: 8, target: v1 });
    expect(recordOf(member).generation).toBe(8);
    member.send(report({ ...later, running: v1 }));
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 8, running: v1 }));
    expect(update(member)).toBe("COMPLETED");
  });

  test("is told above that by a reset too", () => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1 }), claim(), tell);
    member.send(report({ observedGeneration: 2, health: "FAILED", running: v2, reason: broken }));
    member.send({ type: "release", completed: false }, report({ ...later, running: v1 }));
    member.send(reset);
    expect(recordOf(member).generation).toBe(8);
  });
});
