import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeTempDir } from "../kit/temp-dir.js";
import { runCli } from "./run-cli.js";
import { runHere } from "./run-here.js";

const small = ["simulate", "--instances", "8", "--runs", "6", "--update-time", "lognormal(20s,8s)"];

interface Answer {
  readonly strategies: readonly {
    readonly strategy: { readonly batch: unknown };
    readonly outcomes: Readonly<Record<string, { readonly runs: number; readonly share: number }>>;
    readonly durationMs: { readonly p50: number; readonly p99: number };
    readonly blastRadius: { readonly worst: number } | null;
    readonly outMax: { readonly worst: number };
    readonly versusFirst: { readonly durationMs: { readonly mean: number } } | null;
  }[];
}

async function answer(...args: readonly string[]): Promise<Answer> {
  const { code, stdout, stderr } = await runHere([...args, "--json"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout) as Answer;
}

describe("rollcall simulate", () => {
  test("says how likely a roll-out completes, how long it takes and whom it hurts; alternatives beside it", async () => {
    const { code, stdout } = await runHere([...small, "--failure-rate", "10%", "--compare", "batch=4"]);
    expect(code).toBe(0);
    for (const row of [
      /completes +\d+ % \(\d+–\d+\) +\d+ % \(\d+–\d+\)/,
      /is rolled back +\d+ %/,
      /duration p50 +\dm/,
      /duration, to the first +- +[+−]/,
      /ran the bad version worst +\d/,
      /out at the same time worst +\d/,
    ])
      expect(stdout).toMatch(row);
    expect(stdout).toContain("batch 4, threshold 1");
  });

  test("a fleet that does nothing wrong completes, as fast as its batch lets it, and no more than a batch is out", async () => {
    const { strategies } = await answer(...small, "--update-time", "20s", "--compare", "batch=4");
    expect(strategies.map(({ outcomes }) => outcomes.completed?.share)).toEqual([1, 1]);
    expect(strategies.map(({ blastRadius }) => blastRadius)).toEqual([null, null]);
    expect(strategies.map(({ outMax }) => outMax.worst)).toEqual([1, 4]);
    // Eight updates of 20 s, and 10 s of health after each, one by one or in two batches.
    expect(Math.round((strategies[0]?.durationMs.p50 ?? 0) / 1_000)).toBe(240);
    expect(Math.round((strategies[1]?.durationMs.p50 ?? 0) / 1_000)).toBe(60);
    expect(Math.round((strategies[1]?.versusFirst?.durationMs.mean ?? 0) / 1_000)).toBe(-180);
  });

  test("a version that always fails is rolled back, and touches one instance at a time", async () => {
    const { strategies } = await answer(...small, "--failure-rate", "100%");
    expect(strategies[0]?.outcomes.rolledBack?.share).toBe(1);
    expect(strategies[0]?.blastRadius?.worst).toBe(1);
  });

  test("the same seed gives the same answer byte for byte, another seed another one; on threads as in one", async () => {
    const args = [...small, "--failure-rate", "10%", "--compare", "batch=4", "--json"];
    const [here, again, other, threads] = await Promise.all([
      runHere([...args, "--seed", "9"]),
      runHere([...args, "--seed", "9"]),
      runHere([...args, "--seed", "10"]),
      runCli([...args, "--seed", "9"]),
    ]);
    expect(again.stdout).toBe(here.stdout);
    expect(other.stdout).not.toBe(here.stdout);
    expect(threads).toEqual({ code: 0, stdout: here.stdout, stderr: "" });
  });

  test.each([
    [["--min-healthy", "5m", "--deadline", "4m"], "BAD_DEADLINE"],
    [["--deadline", "20s"], "CONTRADICTORY_ROLLOUT"],
    [["--failure-threshold", "9"], "CONTRADICTORY_ROLLOUT"],
    [["--compare", "failure-threshold=9"], "CONTRADICTORY_ROLLOUT"],
    [["--batch", "0"], "BAD_BATCH"],
  ])("%j contradicts itself and is refused before anything runs", async (more, code) => {
    const ended = await runHere([...small, ...more, "--json"]);
    expect(ended.code).toBe(3);
    expect((JSON.parse(ended.stdout) as { error: { code: string } }).error.code).toBe(code);
  });

  test.each([
    [["--update-time", "soon"], "updateTime"],
    [["--failure-rate", "200%"], "share"],
    [["--compare", "speed=fast"], "failure-threshold"],
    [["--plan", "nowhere.json"], "nowhere.json cannot be read"],
  ])("%j is wrong usage, said by name", async (more, said) => {
    const ended = await runHere([...small, ...more]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(said);
  });

  test("a plan file says all of it, and options go before what it says", async () => {
    const path = join(makeTempDir(), "plan.json");
    const plan = {
      fleet: [
        { instances: 4, labels: { tier: "web" } },
        { instances: 3, labels: { tier: "job" } },
      ],
      strategy: { batch: 2, selector: "tier=web" },
      behaviour: { updateTime: { samplesMs: [5_000] } },
      runs: 2,
      compare: [{ batch: 4 }],
    };
    writeFileSync(path, JSON.stringify(plan));
    const { strategies } = await answer("simulate", "--plan", path, "--batch", "1");
    expect(strategies.map(({ strategy }) => strategy.batch)).toEqual([1, 4]);
    expect(strategies.map(({ durationMs }) => Math.round(durationMs.p50 / 1_000))).toEqual([60, 15]);
  });

  test("a misspelt word in a plan file is refused by its name", async () => {
    const path = join(makeTempDir(), "plan.json");
    writeFileSync(path, JSON.stringify({ stratgy: {} }));
    const { code, stderr } = await runHere(["simulate", "--plan", path]);
    expect(code).toBe(2);
    expect(stderr).toContain("stratgy");
  });
});
