import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ChaosPlayer, type LifeReport, planOf } from "../../src/simulator/chaos/chaos.js";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import type { Failure, Trouble } from "../../src/simulator/chaos/failure.js";
import { lifePlanSchema } from "../../src/simulator/chaos/life-plan.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { runCli } from "./run-cli.js";
import { runHere, startHere } from "./run-here.js";

const failureOf = (trouble: Trouble): Failure => ({
  trouble,
  id: "S4",
  sentence: "d1 was completed and is written again",
  atMs: 61_500,
});

/** Lives nothing: the seeds in `failures` fail, and have a smaller plan that fails too. */
function played(failures: Readonly<Record<string, Failure>> = {}): ChaosPlayer {
  return async (next, onDone) => {
    for (let task = next(); task !== undefined; task = next()) {
      if (task.do === "shrink") {
        const plan = { ...task.plan, happenings: [], faultsMs: 1_000, reconcileEveryMs: 1_000 };
        onDone({ do: "shrink", shrunk: { plan, failure: task.failure, lives: 3 } }, task);
        continue;
      }
      const { seed } = planOf(task.order);
      const report: LifeReport = {
        seed,
        failure: failures[seed] ?? null,
        marks: ["takeover"],
        families: ["clocks"],
        happened: 10,
        virtualMs: 60_000,
        digest: "d",
      };
      onDone({ do: "live", report }, task);
    }
  };
}

function simulate(args: readonly string[], player = played(), cwd = makeTempDir()) {
  return runHere(["simulate", "--chaos", ...args], { cwd, runners: { chaos: player } });
}

const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);

describe("rollcall simulate --chaos", () => {
  test("lives random lives twice, says what was reached, and ends with the line that repeats it", async () => {
    const { code, stdout } = await runCli(["simulate", "--chaos", "--seed", "26", "--instances-max", "1"]);
    expect(stdout).toMatch(
      /^1 life, [\d.]+ seeds a second, 0\.1 h of virtual time, in .+; each was lived twice/,
    );
    expect(stdout).toMatch(/rolledBack +[01] +a deployment is rolled back/);
    expect(stdout).toMatch(/messages +[01]/);
    expect(stdout).toContain("All that must hold has held.");
    expect(lastLine(stdout)).toMatch(
      /^rollcall simulate --chaos --seed 26 --instances-max 1 # rollcall \d+\.\d+\.\d+( \([0-9a-f]+\+?\))?$/,
    );
    expect(code).toBe(0);
  });

  test("a life that fails is written at once, whatever becomes of the run", async () => {
    const cwd = makeTempDir();
    const dies: ChaosPlayer = async (next, onDone) => {
      await played({ 7: failureOf("liveness") })(next, onDone);
      throw new Error("the worker died");
    };
    const { code, stderr } = await simulate(["--seed", "6", "--seeds", "3"], dies, cwd);
    expect(code).toBe(1);
    const found = ".rollcall-chaos/7-S4";
    expect(stderr).toContain(`Seed 7 fails, S4: d1 was completed and is written again (${found})\n`);
    const plan = lifePlanSchema.parse(JSON.parse(readFileSync(join(cwd, found, "plan.json"), "utf8")));
    expect(plan).toEqual(drawPlan("7"));
  });

  test.each([
    ["correctness", 65],
    ["liveness", 66],
    ["crash", 67],
    ["nondeterminism", 68],
  ] as const)("%s ends with %i, and with the seed that does it", async (trouble, expected) => {
    const { code, stdout } = await simulate(
      ["--seed", "5", "--seeds", "4"],
      played({ 7: failureOf(trouble), 8: failureOf("liveness") }),
    );
    expect(code).toBe(expected);
    expect(stdout).toContain(
      `Seed 7 fails after 1:01, ${trouble}, S4: d1 was completed and is written again`,
    );
    expect(stdout).not.toContain("All that must hold");
    expect(lastLine(stdout)).toMatch(/^rollcall simulate --chaos --seed 7 # rollcall /);
  });

  test("the first life of a kind that fails is made smaller, and each is written to a folder of its own", async () => {
    const cwd = makeTempDir();
    const failures = { 2: failureOf("correctness"), 3: failureOf("correctness") };
    const { stdout } = await simulate(["--seeds", "3", "--out", "found"], played(failures), cwd);
    expect(stdout).toMatch(/The smallest life that fails so has 0 happenings, .+; it had \d+ happenings/);
    const [small, drawn] = ["2", "3"].map((seed) =>
      lifePlanSchema.parse(JSON.parse(readFileSync(join(cwd, `found/${seed}-S4/plan.json`), "utf8"))),
    );
    expect(small?.happenings).toEqual([]);
    expect(drawn).toEqual(drawPlan("3"));
    expect(existsSync(join(cwd, "found/3-S4/trace.ndjson"))).toBe(false);
    const shown = await runHere(["events", "--type", "release", "--file", "found/2-S4/trace.ndjson"], {
      cwd,
    });
    expect(shown.stdout).toMatch(/release\/v1 +.*registered/);
  });

  test("the plan of a life can be lived again from its file", async () => {
    const cwd = makeTempDir();
    writeFileSync(join(cwd, "plan.json"), JSON.stringify(drawPlan("4")));
    const { code, stdout } = await simulate(
      ["--life", "plan.json"],
      played({ 4: failureOf("liveness") }),
      cwd,
    );
    expect(code).toBe(66);
    expect(lastLine(stdout)).toMatch(/^rollcall simulate --chaos --life plan\.json # rollcall /);
  });

  test("--json says the same for programs", async () => {
    const { stdout } = await simulate(["--seeds", "2", "--json"], played({ 2: failureOf("crash") }));
    expect(JSON.parse(stdout)).toMatchObject({
      lives: 2,
      virtualMs: 120_000,
      marks: { takeover: 2, held: 0 },
      families: { clocks: 2, ledger: 0 },
      failures: [{ seed: "2", trouble: "crash", id: "S4", atMs: 61_500, shrunk: { happenings: 0 } }],
      replay: expect.stringContaining("rollcall simulate --chaos --seed 2 #"),
    });
  });

  test("with --minutes it goes on over fresh seeds, until Ctrl-C at the latest", async () => {
    let lives = 0;
    const player: ChaosPlayer = async (next, onDone) => {
      await played()(next, (outcome, task) => {
        onDone(outcome, task);
        if (++lives === 5) running.interrupt();
      });
    };
    const running = startHere(["simulate", "--chaos", "--minutes", "20"], { runners: { chaos: player } });
    const { code, stdout } = await running.ended;
    expect(code).toBe(130);
    expect(lastLine(stdout)).toMatch(/--seed \d{10} --seeds 5 #/);
  });

  test.each([
    [["--batch", "2"], "--batch goes with a rehearsal"],
    [["--life", "nowhere.json"], "nowhere.json cannot be read"],
    [["--life", "x.json", "--seed", "1"], "--life is one life"],
    [["--seed", "abc"], "whole number"],
    [["--minutes", "soon"], "number of minutes"],
    [["--instances-max", "500"], "at most 200"],
  ])("%j is wrong usage, said by name", async (args, said) => {
    const { code, stderr } = await simulate(args);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  test("without --chaos its options are refused by name", async () => {
    const { code, stderr } = await runHere(["simulate", "--minutes", "3", "--out", "x"]);
    expect(code).toBe(2);
    expect(stderr).toContain("--minutes, --out go with --chaos");
  });
});
