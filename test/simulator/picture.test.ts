import { expect, test } from "vitest";
import { type Entry, keepDiary } from "../../src/simulator/chaos/diary.js";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import type { Failure } from "../../src/simulator/chaos/failure.js";
import { live } from "../../src/simulator/chaos/life.js";
import type { LifePlan } from "../../src/simulator/chaos/life-plan.js";
import { pictureOf } from "../../src/simulator/chaos/picture.js";

const plan = drawPlan("5", { instancesMax: 2 });
const failure: Failure = { trouble: "correctness", id: "S4", sentence: "d1 is written again", atMs: 61_500 };
const entry = (atMs: number, node: string | undefined, glyph: string, words = ""): Entry => ({
  atMs,
  node,
  glyph,
  words,
});

test("a picture has a column a process, coordinators first, a row a moment, and the failure at its end", () => {
  const entries = [
    entry(12, "c1", "L", "c1 leads"),
    entry(60_000, "i1", "t"),
    entry(60_200, "i1", "s"),
    entry(61_000, "c1", "K", "coordinator kill (c1)"),
  ];
  expect(pictureOf(plan, entries, failure)).toBe(
    [
      "seed 5, lease 3000 ms, faults for 6:00.000",
      "",
      "     time  c1  i1",
      " 0:00.012  L   ·    c1 leads",
      " 1:00.000  ·   ts",
      " 1:01.000  K   ·    coordinator kill (c1)",
      "",
      " 1:01.500  correctness S4: d1 is written again",
      "",
      "L leads · K is killed · t is told · s starts a process",
      "",
    ].join("\n"),
  );
});

test("it fits on a screen: the last rows, the processes of which there is most to tell, few words", () => {
  const entries = Array.from({ length: 300 }, (_, at) =>
    entry(at * 1_000, `i${at % 30 < 15 ? at % 5 : at % 30}`, "t", "long words ".repeat(20)),
  );
  const lines = pictureOf(plan, entries, failure).split("\n");
  expect(lines.length).toBeLessThanOrEqual(50);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(200);
  expect(lines[3]).toContain("260 rows before");
});

test("the diary of a life names who leads, what strikes whom, who is told and what becomes of deployments", async () => {
  const entries: Entry[] = [];
  const fine = { fails: 0, hangs: 0, unhealthy: 0, sickens: 0, crashes: 0, flaky: 0, slowMs: 0 };
  const short: LifePlan = {
    ...plan,
    releases: [{ version: "v1", minHealthyMs: 0, deadlineMs: 60_000, ...fine }],
    happenings: [
      {
        do: "deploy",
        atMs: 5_000,
        release: 0,
        config: null,
        selector: null,
        batch: 1,
        failureThreshold: 1,
        rollback: "auto",
        onStuck: "fail",
        progressDeadlineMs: 600_000,
      },
      { do: "coordinator", atMs: 30_000, forMs: 5_000, which: "leader", how: "kill" },
    ],
  };
  await live(short, { watchers: [keepDiary(entries)], untilMs: 60_000 });
  const words = entries.map((one) => one.words).join("\n");
  for (const said of [/^c\d leads$/m, /^d1 is created: release v1/m, /^coordinator .*for .* \(c\d\)$/m])
    expect(words).toMatch(said);
  const drawn = new Set(entries.map(({ glyph }) => glyph));
  for (const glyph of ["L", "t", "s", "a", "K"]) expect(drawn).toContain(glyph);
});
