import { describe, expect, test } from "vitest";
import { paintNothing } from "../../src/cli/paint.js";
import { rolloutChanges } from "../../src/cli/rollout-changes.js";
import { endSentence, nextPicture, type RolloutPicture } from "../../src/cli/rollout-picture.js";
import { rolloutLines } from "../../src/cli/rollout-view.js";
import type { DeploymentView, InstanceView } from "../../src/contracts/views.js";
import { aDeployment, anInstance } from "../api/fake-plane.js";

const createdMs = 1_893_456_000_000;
const v1 = { release: "v1", config: null };
const v2 = { release: "v2", config: null };
const counts = (some: Partial<DeploymentView["counts"]>) => ({
  ...aDeployment().counts,
  waiting: 0,
  inFlight: 0,
  ...some,
});

const moving = anInstance({ id: "web-2", progress: 40, note: "try 2 of 3" });
const done = anInstance({
  id: "web-1",
  claim: "succeeded",
  running: v2,
  updateState: "COMPLETED",
  progress: 100,
  port: 8_081,
});
const waiting = anInstance({ id: "web-10", claim: "waiting", desired: v1, updateState: "NEEDING_UPDATE" });
const silent = anInstance({ id: "web-11", claim: "waiting", desired: v1, status: "UNKNOWN" });
const failed = anInstance({
  id: "web-3",
  claim: "failed",
  status: "FAILED",
  updateState: "FAILED",
  reason: { code: "HEALTH_CHECK_FAILED", message: "The health check failed\n3 times." },
});

function picture(changes: Partial<RolloutPicture> = {}): RolloutPicture {
  return {
    deployment: aDeployment({
      counts: counts({ total: 5, succeeded: 1, inFlight: 1, failed: 1, waiting: 1, unreachable: 1 }),
      matched: 5,
    }),
    rollback: null,
    instances: [done, moving, failed, waiting, silent],
    nowMs: createdMs + 72_000,
    ...changes,
  };
}

const space = { columns: 110, rows: 40, paint: paintNothing };

describe("the view of a roll-out", () => {
  test("is a title, the counts, the sentence that says why, and a line an instance", () => {
    expect(rolloutLines(picture(), space)).toEqual([
      "d1  v2 to 5 instances  rolling  1:12",
      "██████████▒▒▒▒▒░░░░░░░░░  1 of 5 done · 1 in flight · 1 waiting · 1 unreachable · 1 failed (ends at 2)",
      "Waiting for web-1.",
      "",
      "  ✓ web-1   v2       done             HEALTHY  port 8081",
      "  ⟳ web-2   v1 → v2  HEALTH_CHECK     ▪▪▪▪······  40 %  try 2 of 3",
      "  ✗ web-3   v1 → v2  failed           HEALTH_CHECK_FAILED: The health check failed 3 times.",
      "  · web-10  v1       waiting",
      "  ? web-11  v1       unreachable      UNKNOWN",
    ]);
  });

  test("never has a line that is wider than the terminal, or more lines than it has", () => {
    const instances = Array.from({ length: 200 }, (_, at) => anInstance({ ...waiting, id: `web-${at}` }));
    const many = picture({
      instances: [...instances, moving, failed],
      deployment: aDeployment({ spec: { ...aDeployment().spec, selector: "x=".padEnd(200, "y") } }),
    });
    for (const columns of [20, 40, 80, 200]) {
      for (const rows of [8, 24, 60]) {
        const lines = rolloutLines(many, { columns, rows, paint: paintNothing });
        expect(lines.length).toBeLessThan(rows);
        expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThan(columns);
      }
    }
  });

  test("gives the sentence that says why up to three lines", () => {
    const sentence = "web-1 has been updating for 4m12s and this is a sentence with rather many words in it";
    const lines = (columns: number) =>
      rolloutLines(picture({ deployment: aDeployment({ why: { ...aDeployment().why, sentence } }) }), {
        ...space,
        columns,
      });
    expect(lines(110)[2]).toBe(sentence);
    expect(lines(51).slice(2, 5)).toEqual([
      "web-1 has been updating for 4m12s and this is a",
      "sentence with rather many words in it",
      "",
    ]);
    expect(lines(21).slice(2, 6)).toEqual([
      "web-1 has been",
      "updating for 4m12s",
      "and this is a sente…",
      "",
    ]);
  });

  test("shows what failed and what moves first where not all fit, and counts the rest", () => {
    const instances = Array.from({ length: 30 }, (_, at) =>
      anInstance({ ...(at % 2 ? waiting : done), id: `web-${at + 20}` }),
    );
    const lines = rolloutLines(picture({ instances: [moving, failed, ...instances] }), {
      ...space,
      rows: 10,
    });
    expect(lines.slice(4).map((line) => line.trim().split(/ +/).slice(0, 2).join(" "))).toEqual([
      "⟳ web-2",
      "✗ web-3",
      "· web-21",
      "· web-23",
      "… and",
    ]);
    expect(lines.at(-1)).toBe("  … and 28 instances more: 15 done, 13 waiting");
  });

  test("colours only what it is told to", () => {
    const painted = rolloutLines(picture(), {
      ...space,
      paint: (style, text) => `<${String(style)}>${text}</>`,
    });
    expect(painted[4]).toContain("<green>  ✓ </>");
    expect(painted[6]).toContain("<red>  ✗ </>");
    const plain = painted.map((line) => line.replace(/<[a-z]*>|<\/>/g, "").trimEnd());
    expect(plain).toEqual(rolloutLines(picture(), space));
  });

  test("goes on with the rollback: its counts and its sentence, under why the deployment failed", () => {
    const before = picture({
      deployment: aDeployment({
        state: "finished",
        outcome: "failed",
        reason: { code: "X", message: "2 failures reached the threshold." },
      }),
    });
    const rollback = aDeployment({
      id: "d2",
      rollbackOf: "d1",
      why: { ...aDeployment().why, sentence: "Back." },
      counts: counts({ total: 2, inFlight: 2 }),
    });
    const instances = [
      anInstance({
        ...failed,
        deployment: "d2",
        claim: "told",
        desired: v1,
        running: null,
        phase: "PULLING_SOURCE",
      }),
      anInstance({ ...done, deployment: "d2", claim: "succeeded", running: v1, desired: v1 }),
    ];
    const after = nextPicture(before, {
      deployment: rollback,
      instances,
      asOf: createdMs + 80_000,
      epoch: 7,
    });
    const lines = rolloutLines(after, space);
    expect(lines.slice(0, 5)).toEqual([
      "d1  v2 to 3 instances  failed  1:20",
      "    2 failures reached the threshold.",
      "d2  rollback of d1 (v2)  rolling",
      expect.stringContaining("0 of 2 done · 2 in flight"),
      "Back.",
    ]);
    expect(lines.slice(6).map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["↩ web-1", "v1", "back", "HEALTHY", "port 8081"],
      ["· web-2", "v1 → v2", "untouched"],
      ["⟳ web-3", "- → v1", "PULLING_SOURCE", "▪▪▪▪······", "40 %"],
      ["· web-10", "v1", "untouched"],
      ["· web-11", "v1", "untouched", "UNKNOWN"],
    ]);
  });
});

describe("the changes of a roll-out, a line each", () => {
  test("begin with what it is and what moves", () => {
    expect(rolloutChanges(undefined, picture())).toEqual([
      "1:12 d1: v2 to 5 instances, batch 2, fails at 2: rolling",
      "1:12 web-2: v1 → v2 HEALTH_CHECK",
    ]);
  });

  test("name a phase, a success and a failure once, and no progress within a phase", () => {
    const before = picture({ instances: [moving, waiting] });
    const lines = (instances: InstanceView[]) =>
      rolloutChanges(before, picture({ instances, nowMs: createdMs + 130_000 }));
    expect(lines([{ ...moving, progress: 90, note: "try 3 of 3" }, waiting])).toEqual([]);
    expect(lines([{ ...moving, phase: "ACTIVE" }, waiting])).toEqual(["2:10 web-2: v1 → v2 ACTIVE"]);
    expect(lines([{ ...moving, claim: "succeeded", running: v2 }, waiting])).toEqual([
      "2:10 web-2: done, v2 HEALTHY",
    ]);
    expect(lines([{ ...failed, id: "web-2" }, waiting])).toEqual([
      "2:10 web-2: failed, HEALTH_CHECK_FAILED: The health check failed 3 times.",
    ]);
  });

  test("say when it is paused, goes on, fails, and that its rollback began", () => {
    const at = (deployment: DeploymentView, rollback: DeploymentView | null = null) =>
      picture({ deployment, rollback, instances: [] });
    const rolling = aDeployment();
    const paused = aDeployment({ state: "paused", why: { ...rolling.why, sentence: "Paused by ann." } });
    const over = aDeployment({
      state: "finished",
      outcome: "failed",
      reason: { code: "X", message: "Too many failures." },
    });
    const rollback = aDeployment({ id: "d2", rollbackOf: "d1" });
    expect(rolloutChanges(at(rolling), at(paused))).toEqual(["1:12 d1: paused: Paused by ann."]);
    expect(rolloutChanges(at(paused), at(rolling))).toEqual(["1:12 d1: rolling"]);
    expect(rolloutChanges(at(rolling), at(over))).toEqual(["1:12 d1: failed: Too many failures."]);
    expect(rolloutChanges(at(over), at(over, rollback))).toEqual([
      "1:12 d2: rollback of d1 (v2), batch 2, fails at 2: rolling",
    ]);
  });

  test("of a fleet whose instances fit into no message are its counts", () => {
    const at = (succeeded: number) =>
      picture({ instances: [], deployment: aDeployment({ counts: counts({ total: 9_000, succeeded }) }) });
    expect(rolloutChanges(at(10), at(20))).toEqual(["1:12 d1: 20 of 9000 done"]);
  });
});

test.each([
  [
    { outcome: "completed", counts: counts({ total: 3, succeeded: 2, notNeeded: 1 }) },
    null,
    "d1 completed: 3 of 3 run v2.",
  ],
  [
    { outcome: "completed", counts: counts({ total: 3, succeeded: 2, unreachable: 1 }) },
    null,
    "d1 completed: 2 of 3 run v2; 1 did not get it.",
  ],
  [{ outcome: "failed" }, null, "d1 failed: Too many. Nothing was rolled back."],
  [{ outcome: "aborted" }, null, "d1 was aborted: Too many. Nothing was rolled back."],
  [
    { outcome: "failed" },
    { outcome: "rolled_back" },
    "d1 failed: Too many. d2 took what it had touched back to what was stable before.",
  ],
  [
    { outcome: "failed" },
    { outcome: "rollback_failed", reason: null },
    "d1 failed: Too many. The rollback d2 did not succeed.",
  ],
  [
    { outcome: "rolled_back", rollbackOf: "d0" },
    null,
    "d1 is done: what d0 touched is back on what was stable before.",
  ],
] as const)("the end of %j with the rollback %j is one sentence", (deployment, rollback, sentence) => {
  const reason = { code: "X", message: "Too many." };
  const end = picture({
    deployment: aDeployment({ state: "finished", reason, ...deployment }),
    rollback: rollback === null ? null : aDeployment({ id: "d2", state: "finished", ...rollback }),
  });
  expect(endSentence(end)).toBe(sentence);
});
