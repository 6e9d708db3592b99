import { expect, test } from "vitest";
import type { EventView } from "../../src/contracts/views.js";
import { measuredOf } from "../../src/simulator/measured.js";

const startMs = Date.UTC(2030, 0, 1);

function event(
  instance: string,
  what: string,
  atMs: number,
  more: { generation?: number; cause?: string; code?: string } = {},
): EventView {
  const { generation = 2, cause = "report:x/y/1", code } = more;
  return {
    id: `${instance}-${what}-${atMs}`,
    type: `instance.${what}`,
    subject: `instance/${instance}`,
    time: new Date(startMs + atMs).toISOString(),
    sentence: "",
    actor: "rule:rollout",
    cause,
    generation,
    epoch: 1,
    sequence: 1,
    data: code === undefined ? {} : { reason: { code, message: "" } },
  };
}

const told = (instance: string, atMs: number, deployment = "d7", generation = 2) =>
  event(instance, "told", atMs, { generation, cause: `deployment:${deployment}/3` });

test("what a past deployment took and how it failed is read from its own commands' events, in any order", () => {
  const events = [
    event("web-1", "succeeded", 22_000),
    told("web-1", 0),
    told("web-2", 1_000),
    event("web-2", "succeeded", 26_000),
    event("web-2", "failed", 40_000, { code: "PROCESS_EXITED" }),
    told("web-3", 0),
    event("web-3", "failed", 9_000, { code: "BUILD_FAILED" }),
    told("web-4", 0),
    event("web-4", "failed", 900_000, { code: "INSTANCE_DEADLINE" }),
    told("web-5", 0),
    event("web-5", "failed", 70_000, { code: "HEALTH_CHECK_FAILED" }),
    // On its way when the log was read.
    told("web-6", 5_000),
    // Another deployment's, and a way back.
    told("web-1", 100_000, "d8", 3),
    event("web-1", "succeeded", 190_000, { generation: 3 }),
  ];
  expect(measuredOf(events, { deployment: "d7", minHealthyMs: 10_000 })).toEqual({
    samplesMs: [12_000, 15_000],
    told: 6,
    failures: { build: 1, unhealthy: 1, flaps: 1, hangs: 1 },
  });
});

test("of a deployment that the log says nothing of there is nothing to go by", () => {
  expect(measuredOf([told("web-1", 0, "d77")], { deployment: "d7", minHealthyMs: 0 })).toMatchObject({
    samplesMs: [],
    told: 0,
  });
});
