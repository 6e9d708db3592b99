import { describe, expect, test } from "vitest";
import type { DeploymentSnapshot } from "../../src/api/watch-deployment.js";
import type { DeploymentView } from "../../src/contracts/views.js";
import { aDeployment, anInstance } from "../api/fake-plane.js";
import { eventually } from "../kit/eventually.js";
import { withNats } from "../kit/nats.js";
import { scriptedRollouts, startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { type HereOptions, startHere } from "./run-here.js";

const nats = withNats();
const reason = { code: "FAILURE_THRESHOLD", message: "2 failures reached the threshold." };

function over(changes: Partial<DeploymentView>): Partial<DeploymentSnapshot> {
  return { deployment: aDeployment({ state: "finished", status: "FAILED", ...changes }) };
}
const rolling: Partial<DeploymentSnapshot> = {};
const completed = over({
  outcome: "completed",
  status: "COMPLETED",
  counts: { ...aDeployment().counts, succeeded: 3 },
});
const failed = over({ outcome: "failed", reason });
const failedAndBack = over({ outcome: "failed", reason, rolledBackBy: "d2" });
const back = { deployment: aDeployment({ id: "d2", rollbackOf: "d1" }) };
const rolledBack = over({ id: "d2", rollbackOf: "d1", outcome: "rolled_back" });
const rollbackFailed = over({ id: "d2", rollbackOf: "d1", outcome: "rollback_failed", reason });

async function start(
  scripts: Parameters<typeof scriptedRollouts>[0],
  args: string,
  options: HereOptions = {},
) {
  const fleet = await startFakeFleet(nats(), scriptedRollouts(scripts));
  return startHere(args.split(" "), { env: envOf(nats(), { ROLLCALL_FLEET: fleet }), ...options });
}

describe("what a watched roll-out ends with", () => {
  test.each([
    ["completed: 0", 0, { d1: [rolling, completed] }, "d1 completed: 3 of 3 run v2."],
    [
      "failed and rolled back: 4, once the rollback is over",
      4,
      { d1: [rolling, failedAndBack], d2: [back, back, rolledBack] },
      "d1 failed: 2 failures reached the threshold. d2 took what it had touched back to what was stable before.",
    ],
    [
      "failed and its rollback failed: 5",
      5,
      { d1: [failedAndBack], d2: [rollbackFailed] },
      "d1 failed: 2 failures reached the threshold. The rollback d2 did not succeed: 2 failures reached the threshold.",
    ],
    [
      "failed without a rollback: 5",
      5,
      { d1: [rolling, failed] },
      "d1 failed: 2 failures reached the threshold. Nothing was rolled back.",
    ],
    [
      "aborted: 5",
      5,
      { d1: [rolling, over({ outcome: "aborted" })] },
      "d1 was aborted. Nothing was rolled back.",
    ],
  ])("%s", async (_what, code, scripts, sentence) => {
    for (const args of ["deploy --release v2 --all --wait", "deployments watch d1"]) {
      const run = await (await start(scripts, args)).ended;
      expect([run.code, run.stderr]).toEqual([code, ""]);
      expect(run.stdout.trim().split("\n").at(-1)).toBe(sentence);
    }
  });

  test("a rollback that was asked for and succeeded: 0", async () => {
    const run = await (await start({ d2: [back, rolledBack] }, "deployments watch d2")).ended;
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("d2 is done: what d1 touched is back on what was stable before.");
  });

  test("not over in time: 6, and it goes on", async () => {
    const { ended } = await start({ d1: [rolling] }, "deploy --release v2 --all --wait --timeout 400ms");
    expect(await ended).toMatchObject({
      code: 6,
      stderr:
        "rollcall: Deployment d1 was not over within 400 ms; it goes on: see it by rollcall deployments watch d1.\n",
    });
    const json = await (await start({ d1: [rolling] }, "deployments watch d1 --timeout 400ms --json")).ended;
    expect(json.code).toBe(6);
    expect(JSON.parse(json.stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({
      error: { code: "WAIT_TIMEOUT", retry: "later" },
    });
  });

  test("a deployment that there is not: 3", async () => {
    const { ended } = await start({}, "deployments watch d9");
    expect(await ended).toEqual({
      code: 3,
      stdout: "",
      stderr: "rollcall: There is no deployment d9: see rollcall deployments ls.\n",
    });
  });

  test("interrupted by Ctrl-C: 130, and it says that the roll-out goes on", async () => {
    const run = await start({ d1: [rolling] }, "deployments watch d1");
    await eventually(() => run.stdout().includes("rolling"));
    run.interrupt();
    expect(await run.ended).toMatchObject({
      code: 130,
      stderr:
        "The watching has ended, the roll-out d1 goes on. See it again by rollcall deployments watch d1\n",
    });
  });
});

test("where output is no terminal, there is one line a change", async () => {
  const instance = anInstance({ phase: "BUILDING" });
  const script = [
    { instances: [instance] },
    { instances: [anInstance({ phase: "BUILDING", progress: 90 })] },
    { instances: [anInstance({ phase: "HEALTH_CHECK" })] },
    { ...completed, instances: [anInstance({ claim: "succeeded", running: instance.desired })] },
  ];
  const run = await (await start({ d1: script }, "deployments watch d1")).ended;
  expect(run.stdout).toBe(
    [
      "0:01 d1: v2 to 3 instances, batch 2, fails at 2: rolling",
      "0:01 web-1: v1 → v2 BUILDING",
      "0:03 web-1: v1 → v2 HEALTH_CHECK",
      "0:04 d1: completed",
      "0:04 web-1: done, v2 HEALTHY",
      "d1 completed: 3 of 3 run v2.",
      "",
    ].join("\n"),
  );
});

test("with --json every change is one line of JSON, that of the rollback included", async () => {
  const run = await (
    await start({ d1: [rolling, failedAndBack], d2: [back, rolledBack] }, "deployments watch d1 --json")
  ).ended;
  const lines = run.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as DeploymentSnapshot);
  expect(lines.map(({ deployment: { id, state, outcome } }) => [id, state, outcome])).toEqual([
    ["d1", "rolling", null],
    ["d1", "finished", "failed"],
    ["d2", "rolling", null],
    ["d2", "finished", "rolled_back"],
  ]);
  expect(Object.keys(lines[0] ?? {}).toSorted()).toEqual(["asOf", "deployment", "epoch", "instances"]);
});

describe("on a terminal", () => {
  const terminal = { columns: 90, rows: 20 };
  const script = {
    d1: [rolling, { instances: [anInstance({ phase: "ACTIVE", progress: 100 })] }, completed],
  };

  test("the view is redrawn in place and the last sentence stays", async () => {
    const run = await (await start(script, "deployments watch d1", { terminal })).ended;
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("\u001b[2K");
    expect(run.stdout).toContain("web-1");
    expect(run.stdout.endsWith("\nd1 completed: 3 of 3 run v2.\n")).toBe(true);
  });

  test("NO_COLOR is honoured", async () => {
    const fleet = await startFakeFleet(nats(), scriptedRollouts(script));
    const env = envOf(nats(), { ROLLCALL_FLEET: fleet });
    const coloured = await startHere(["deployments", "watch", "d1"], { terminal, env }).ended;
    expect(coloured.stdout).toContain("\u001b[1m");
    expect(coloured.stdout).toContain("\u001b[36m");
    const plain = await startHere(["deployments", "watch", "d1"], {
      terminal,
      env: { ...env, NO_COLOR: "1" },
    }).ended;
    for (const code of ["1m", "2m", "3"]) expect(plain.stdout).not.toContain(`\u001b[${code}`);
  });

  test("a dumb one gets lines", async () => {
    const run = await (await start(script, "deployments watch d1", { terminal })).ended;
    expect(run.stdout).toContain("\u001b");
    const fleet = await startFakeFleet(nats(), scriptedRollouts(script));
    const dumb = await startHere(["deployments", "watch", "d1"], {
      terminal,
      env: envOf(nats(), { ROLLCALL_FLEET: fleet, TERM: "dumb" }),
    }).ended;
    expect(dumb.stdout).not.toContain("\u001b");
  });
});
