import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { lineOf } from "../../src/ledger/cloud-event.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { edited } from "../simulator/recorded.js";
import { runHere } from "./run-here.js";

const cwd = makeTempDir();
let world: FleetWorld;
let events: readonly AuditEvent[];

/** A file of these lines, by its name in the folder. */
function file(name: string, lines: readonly string[]): string {
  writeFileSync(join(cwd, name), lines.map((line) => `${line}\n`).join(""));
  return name;
}

const replay = (...args: readonly string[]) => runHere(["simulate", "--replay", ...args], { cwd });
const linesOf = (log: readonly AuditEvent[]) => log.map(lineOf);

/** d1 completes; d2 fails at its second failure, and d3 takes it back. */
beforeAll(async () => {
  world = await FleetWorld.ready(6);
  await world.rolledOut("v1", { batch: 6 });
  await world.advance(10_000);
  world.behave({ v2: { fails: true } }, ["web-3", "web-4"]);
  const { rolledBackBy } = await world.rolledOut("v2");
  await world.finished(rolledBackBy ?? "");
  events = world.store.events(fleet);
});

describe("rollcall simulate --replay", () => {
  test("shows that all is decided as it was, and ends with 0", async () => {
    const { code, stdout, stderr } = await replay(file("whole.ndjson", linesOf(events)));
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^d1 +2030-01-01T\S+ +completed +completed +\d+ +0$/m);
    expect(stdout).toMatch(/^d2, d3 +2030-01-01T\S+ +failed, rolled_back +failed, rolled_back +\d+ +0$/m);
    expect(stdout).toContain(
      "2 deployments played. Today's machines decide all of it as it was decided then.",
    );
  });

  test("names what is decided differently, both sides and the time, and ends with 4; --json has all of it", async () => {
    const log = edited(world, "deployment.created", "d2", (data) => ({ ...data, askedThreshold: 3 }));
    const path = file("edited.ndjson", linesOf(log));
    const { code, stdout } = await replay(path);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^d2, d3 +\S+ +failed, rolled_back +completed +\d+ +[1-9]\d*$/m);
    expect(stdout).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} +deployment\/d2 +is over: failed: 2 instances .* +is over: completed$/m,
    );
    expect(stdout).toContain("Today's machines decide 1 of them differently.");
    const json = await replay(path, "--deployment", "d2", "--json");
    expect(json.code).toBe(4);
    const { same, deployments } = JSON.parse(json.stdout) as {
      same: boolean;
      deployments: { deployment: string; today: string; differences: { object: string }[] }[];
    };
    expect(same).toBe(false);
    expect(deployments).toMatchObject([{ deployment: "d2", today: "completed" }]);
    expect(deployments[0]?.differences[0]).toMatchObject({ kind: "other", object: "deployment/d2" });
  });

  test("plays what begins in a part of a log, says what does not, and takes a last line that is torn for unwritten", async () => {
    const start = events.findIndex(({ subject, type }) => subject === "deployment/d1" && /told/.test(type));
    const lines = [...linesOf(events.slice(start)), linesOf(events)[0]?.slice(0, 40) ?? ""];
    const { code, stdout } = await replay(file("part.ndjson", lines));
    expect(code).toBe(0);
    expect(stdout).toContain("d1 is not played: its beginning is not in the file.");
    expect(stdout).toContain("1 deployment played.");
  });

  test("plays a roll-out that is not over as far as the log goes", async () => {
    const end = events.findIndex(({ subject, type }) => subject === "instance/web-3" && /failed/.test(type));
    const { code, stdout } = await replay(
      file("cut.ndjson", linesOf(events.slice(0, end))),
      "--deployment",
      "d2",
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^d2 +\S+ +not over +not over/m);
  });

  test("says of an older log what it assumes", async () => {
    const log = edited(world, "deployment.created", "d2", ({ deadlineMs: _, ...data }) => data);
    const { code, stdout } = await replay(file("older.ndjson", linesOf(log)));
    expect(code).toBe(0);
    expect(stdout).toContain("does not say its deadlines: 15 minutes for an instance");
  });

  test.each([
    [
      "an event that was changed",
      (lines: string[]) => lines.with(9, (lines[9] ?? "").replace("v1", "v9")),
      /line 10: event \S+ was changed/,
    ],
    ["a line that is no event", (lines: string[]) => lines.with(6, "{}"), /line 7 of \S+ is no event/],
    [
      "events in another order",
      (lines: string[]) => [...lines.slice(0, 5), lines[6], lines[5]],
      /line 7: event \S+ stands behind/,
    ],
    [
      "only the deployment's own events",
      (lines: string[]) => lines.filter((line) => line.includes('"subject":"deployment/d2"')),
      /line 2: d2 owns 6 instances, and the file says of 0 that it takes them/,
    ],
    [
      "results that are missing",
      (lines: string[]) => lines.filter((line) => !/instance\.(succeeded|failed)/.test(line)),
      /line \d+: d1 has completed, and the file does not say what became of web-1/,
    ],
  ])("refuses %s with 2, by the line", async (what, change, said) => {
    const path = file(`${what.replaceAll(/\W/g, "-")}.ndjson`, change(linesOf(events)) as string[]);
    const { code, stdout, stderr } = await replay(path);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(said);
  });

  test.each([
    [["nowhere.ndjson"], "nowhere.ndjson cannot be read"],
    [["whole.ndjson", "--deployment", "d9"], "whole.ndjson has no event of deployment d9"],
    [["part.ndjson", "--deployment", "d1"], "d1 cannot be played: its beginning is not in the file"],
    [["whole.ndjson", "--batch", "3"], "leave --batch out"],
    [["whole.ndjson", "--no-rollback"], "leave --no-rollback out"],
  ])("%j is wrong usage, said by name", async (args, said) => {
    const { code, stderr } = await replay(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  test("--deployment alone is wrong usage", async () => {
    const { code, stderr } = await runHere(["simulate", "--deployment", "d1"]);
    expect(code).toBe(2);
    expect(stderr).toContain("give --replay too");
  });
});
