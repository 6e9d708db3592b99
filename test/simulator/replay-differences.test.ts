import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Observed, Policy, Wanted } from "../../machines/deployment-plan.js";
import type { Target } from "../../machines/deployment-targets.js";
import type { Silence } from "../../machines/liveness.js";
import type { Difference } from "../../src/simulator/replay/differences.js";
import { FleetWorld } from "../kit/fleet.js";
import { edited, replayOf } from "./recorded.js";

/** What another version of the machines would do; nothing of it while something is recorded. */
const otherwise = vi.hoisted(() => ({ rule: null as string | null }));

vi.mock("../../machines/deployment-plan.js", async (original) => {
  const plans = await original<typeof import("../../machines/deployment-plan.js")>();
  const wantedBy = (wanted: Wanted): Wanted => ({
    ...wanted,
    batch: wanted.batch + (otherwise.rule === "a larger batch" ? 1 : 0),
    failureThreshold: wanted.failureThreshold + (otherwise.rule === "one failure more" ? 1 : 0),
    deadlineMs: wanted.deadlineMs * (otherwise.rule === "half the deadline" ? 0.5 : 1),
  });
  return {
    ...plans,
    plan: (wanted: Wanted, observed: Observed, policy: Policy, nowMs: number) =>
      plans.plan(wantedBy(wanted), observed, policy, nowMs),
  };
});

vi.mock("../../machines/deployment-targets.js", async (original) => {
  const targets = await original<typeof import("../../machines/deployment-targets.js")>();
  type Asked = Parameters<typeof targets.targetsOf>;
  const asToday = (target: Target): Target =>
    otherwise.rule === "nobody goes back" ? { ...target, before: null } : target;
  return {
    ...targets,
    targetsOf: (...asked: Asked) => {
      const found = targets.targetsOf(...asked);
      return otherwise.rule === "the last ones first" ? found.toReversed() : found.map(asToday);
    },
  };
});

vi.mock("../../machines/liveness.js", async (original) => {
  const liveness = await original<typeof import("../../machines/liveness.js")>();
  return {
    ...liveness,
    isMassSilence: (silence: Silence) =>
      otherwise.rule !== "silence is nothing" && liveness.isMassSilence(silence),
  };
});

beforeEach(() => {
  otherwise.rule = null;
});

const said = (difference: Difference | undefined) =>
  difference && [
    difference.kind,
    difference.object,
    difference.recorded?.sentence ?? null,
    difference.today?.sentence ?? null,
  ];

/** Ten instances on v1, and v2 rolled out to them two at a time. */
async function recorded(happens: (world: FleetWorld, id: string) => Promise<void>): Promise<FleetWorld> {
  const world = await FleetWorld.ready(10);
  await world.rolledOut("v1", { batch: 10 });
  await world.advance(10_000);
  const { id } = await world.deploy("v2", { deadlineMs: 60_000 });
  await happens(world, id);
  const { rolledBackBy } = await world.finished(id);
  if (rolledBackBy !== null) await world.finished(rolledBackBy);
  return world;
}

describe("a rule that has changed is found where it first decides otherwise:", () => {
  const failing = (...instances: string[]) =>
    recorded(async (world) => {
      world.behave({ v2: { fails: true } }, instances);
    });
  const slow = () =>
    recorded(async (world) => {
      world.behave({ v2: { tookMs: 40_000 } }, ["web-4"]);
    });
  const silent = () =>
    recorded(async (world) => {
      world.behave({ v2: { tookMs: 30_000 } });
      const away = ["web-7", "web-8", "web-9", "web-10"];
      for (const name of away) world.agent(name).stop();
      await world.advance(20_000);
      for (const name of away) world.agent(name).start();
    });

  test.each([
    [
      "a larger batch",
      () => failing(),
      ["time", "instance/web-3", /^is told to run v2/, /^is told to run v2/],
      "completed",
    ],
    [
      "one failure more",
      () => failing("web-3", "web-4"),
      ["other", "deployment/d2", /^is over: failed: 2 instances have failed/, /^is over: completed/],
      "completed",
    ],
    [
      "half the deadline",
      slow,
      ["other", "instance/web-4", /^runs v2/, /^has failed on v2: The instance was not healthy/],
      "completed",
    ],
    ["the last ones first", () => failing(), ["time", "instance/web-1", /./, /./], "completed"],
    [
      "nobody goes back",
      () => failing("web-3", "web-4"),
      ["only", "deployment/d3", /^is to take back/, null],
      "failed",
    ],
    ["silence is nothing", silent, ["only", "deployment/d2", /^is held/, null], "completed"],
  ])("%s", async (rule, record, [kind, object, then, now], today) => {
    const world = await record();
    otherwise.rule = rule;
    const { deployments } = await replayOf(world, { only: "d2" });
    expect(said(deployments[0]?.differences[0])).toEqual([
      kind,
      object,
      then === null ? null : expect.stringMatching(then ?? ""),
      now === null ? null : expect.stringMatching(now ?? ""),
    ]);
    expect(deployments[0]?.today).toBe(today);
  });
});

describe("what a log says otherwise than it was is found too:", () => {
  test("another outcome", async () => {
    const world = await recorded(async () => undefined);
    const log = edited(world, "deployment.finished", "d2", (data) => ({ ...data, outcome: "aborted" }));
    const { deployments } = await replayOf(log, { only: "d2" });
    expect(deployments[0]).toMatchObject({ recorded: "aborted", today: "completed" });
    expect(deployments[0]?.differences.map(said)).toEqual([
      ["other", "deployment/d2", "is over: aborted", "is over: completed"],
    ]);
  });

  test("another batch", async () => {
    const world = await recorded(async () => undefined);
    const log = edited(world, "deployment.created", "d2", (data) => ({ ...data, askedBatch: 3 }));
    const { deployments } = await replayOf(log, { only: "d2" });
    expect(deployments[0]?.differences.map(said).slice(0, 2)).toEqual([
      ["other", "deployment/d2", expect.stringContaining("batch 2"), expect.stringContaining("batch 3")],
      ["time", "instance/web-3", expect.stringMatching(/^is told/), expect.stringMatching(/^is told/)],
    ]);
  });
});
