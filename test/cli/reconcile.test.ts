import { describe, expect, test } from "vitest";
import type { ControlPlane } from "../../src/contracts/api.js";
import { refusal } from "../../src/contracts/errors.js";
import type { ReconciledItem, ReconciliationReport } from "../../src/contracts/reconciliation.js";
import { withNats } from "../kit/nats.js";
import { startFakeFleet } from "./fake-fleet.js";
import { envOf } from "./run-cli.js";
import { runHere } from "./run-here.js";

const nats = withNats();

const item = (outcome: ReconciledItem["outcome"], what: string, why: string): ReconciledItem => ({
  object: "instance/web-1",
  what,
  outcome,
  why,
});

function reportOf(change: Partial<ReconciliationReport> = {}): ReconciliationReport {
  return {
    state: "over",
    epoch: 7,
    dryRun: false,
    by: "ann",
    startedAtMs: 0,
    tookMs: 1_500,
    counts: { found: 0, planned: 0, done: 0, gone: 0, left: 0, failed: 0 },
    items: [],
    more: 0,
    ...change,
  };
}

async function run(plane: Partial<ControlPlane>, args: readonly string[]) {
  const fleet = await startFakeFleet(nats(), plane);
  return await runHere([...args, "--fleet", fleet], { env: envOf(nats()) });
}

describe("rollcall reconcile", () => {
  test("waits until it is over, under one key and epoch, and says item by item what became of it", async () => {
    const asked: { dryRun: boolean; epoch?: number | undefined; requestKey?: string | undefined }[] = [];
    const { code, stdout } = await run(
      {
        "reconciliations.run": async (request) => {
          asked.push(request);
          if (asked.length === 1) return reportOf({ state: "underWay" });
          return reportOf({
            counts: { found: 3, planned: 0, done: 1, gone: 1, left: 1, failed: 0 },
            items: [
              item("done", "the link current of web-1 is missing", "right again, for v2"),
              item("gone", "process 7", "it has ended"),
              item("left", "release v2 of web-1", "release v2 is what rollback d7 goes back to"),
            ],
            more: 2,
          });
        },
      },
      ["reconcile"],
    );
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        "done      the link current of web-1 is missing: right again, for v2",
        "gone      process 7: it has ended",
        "left      release v2 of web-1: release v2 is what rollback d7 goes back to",
        "and 2 more",
        "3 things found: 2 done, 1 left. It took 1s.",
        "",
      ].join("\n"),
    );
    expect(asked.map(({ epoch }) => epoch)).toEqual([undefined, 7]);
    expect(new Set(asked.map(({ requestKey }) => requestKey)).size).toBe(1);
  });

  test("says what it would do with --dry-run, and asks for nothing else", async () => {
    const { stdout } = await run(
      {
        "reconciliations.run": async ({ dryRun }) =>
          reportOf({
            dryRun,
            counts: { found: 1, planned: 1, done: 0, gone: 0, left: 0, failed: 0 },
            items: [item("planned", "a desired state of gone-1", "it is removed")],
          }),
      },
      ["reconcile", "--dry-run"],
    );
    expect(stdout).toBe(
      "would do  a desired state of gone-1: it is removed\n1 thing found: 1 to do. Nothing was changed.\n",
    );
  });

  test("ends with 5 when something could not be put right", async () => {
    const counts = { found: 1, planned: 0, done: 0, gone: 0, left: 0, failed: 1 };
    const items = [item("failed", "process 7", "it does not end")];
    const { code, stdout } = await run({ "reconciliations.run": async () => reportOf({ counts, items }) }, [
      "reconcile",
      "--json",
    ]);
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ counts, items });
  });

  test.each(["RECONCILIATION_UNDER_WAY", "RECONCILIATION_INTERRUPTED"] as const)(
    "is refused by %s with what to do",
    async (refused) => {
      const { code, stderr } = await run(
        {
          "reconciliations.run": async () => {
            throw refusal(refused, { by: "bob", after: "; 2 things were done before" });
          },
        },
        ["reconcile"],
      );
      expect(code).toBe(3);
      expect(stderr).toContain(
        refused === "RECONCILIATION_UNDER_WAY" ? "asked for by bob" : "run rollcall reconcile again",
      );
    },
  );
});

test("deployments ls --stuck says what does not move, and what was done about it", async () => {
  const asOf = 1_893_456_060_000;
  const items = [
    {
      kind: "deployment" as const,
      id: "d4",
      deployment: "d4",
      code: "PROGRESS_DEADLINE",
      action: "reported" as const,
      foundAtMs: asOf - 60_000,
      sentence: "Stuck for 1m.",
    },
    {
      kind: "phase" as const,
      id: "web-2",
      deployment: "d3",
      code: "PHASE_STUCK",
      action: "failed" as const,
      foundAtMs: null,
      sentence: "The phase BUILDING has not moved for 5m.",
    },
  ];
  const { stdout } = await run({ "deployments.stuck": async () => ({ items, asOf, epoch: 7 }) }, [
    "deployments",
    "ls",
    "--stuck",
  ]);
  expect(stdout.split("\n").map((line) => line.trim())).toEqual([
    "STUCK            DEPLOYMENT   ACTION     FOUND    WHY",
    "d4               d4           reported   1m ago   PROGRESS_DEADLINE: Stuck for 1m.",
    "instance web-2   d3           failed     -        PHASE_STUCK: The phase BUILDING has not moved for 5m.",
    "",
  ]);
});
