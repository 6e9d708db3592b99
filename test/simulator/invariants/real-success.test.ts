import { expect, test } from "vitest";
import { realSuccess } from "../../../src/simulator/chaos/invariants/real-success.js";
import { claimOf, deploymentOf, instanceOf, sightingOf, v1, v2 } from "../../machines/samples.js";
import { event, RollingFleet } from "./rolling-fleet.js";
import { desiredOf } from "./staged-fleet.js";

const told = instanceOf({ stable: v1, desired: v2, generation: 2, claim: claimOf({ state: "told" }) });
const succeeded = instanceOf({ ...told, claim: claimOf({ state: "succeeded" }) });
const saysSo = event("instance.succeeded", "i1", { generation: 2, version: v2, cause: "report:i1/n1/7" });
const onV2 = sightingOf({ running: v2 }).state;

/** i1 was told to run v2, healthy for 10 s, and reports after a while. */
function reporting(
  { healthyForMs = 10_000, observedGeneration = 2 } = {},
  host: Parameters<RollingFleet["host"]>[1] = { current: "v2", running: [["v2", 12_000]] },
): RollingFleet {
  const fleet = new RollingFleet(realSuccess);
  const desired = desiredOf({ generation: 2, deployment: "d1", minHealthyMs: 10_000 });
  fleet.store({ deployments: [deploymentOf({ stage: "running" })], instances: [told], desired: [desired] });
  fleet.nowMs = 15_000;
  fleet.host("i1", host);
  fleet.report({ seq: 7, observedGeneration, healthyForMs, state: onV2 });
  return fleet;
}

test("a success that its host bears out is one", () => {
  expect(() => reporting().store({ instances: [succeeded], events: [saysSo] })).not.toThrow();
});

test("a success on a version that the host does not run, or for less long, is noticed", () => {
  const hosts = [
    { current: "v1", running: [["v1", 60_000]] },
    { current: "v2", running: [] },
    { current: "v1", running: [["v2", 12_000]] },
    { current: "v2", running: [["v2", 5_000]] },
  ] as const;
  for (const host of hosts)
    expect(() => reporting({}, host).store({ instances: [succeeded], events: [saysSo] })).toThrow(/it runs/);
});

test("a process that ended while its agent stood still is missed for a moment, but not by one that stood still for long", () => {
  const ended = { release: "v2", upMs: 11_000, agoMs: 1_000 };
  const store = { instances: [succeeded], events: [saysSo] };
  const after = (stoodMs: number) => reporting({}, { current: "v2", running: [], ended, stoodMs });
  expect(() => after(2_000).store(store)).not.toThrow();
  for (const stoodMs of [0, 5_000]) expect(() => after(stoodMs).store(store)).toThrow(/it runs nothing/);
});

test("a success too early, or by the word about an older command, is noticed", () => {
  const store = { instances: [succeeded], events: [saysSo] };
  expect(() => reporting({ healthyForMs: 9_000 }).store(store)).toThrow(/after 9000 of 10000 ms/);
  expect(() => reporting({ observedGeneration: 1 }).store(store)).toThrow(/and said 1/);
});

test("a success by what was said before the command, or by nothing, is noticed", () => {
  const fleet = reporting();
  fleet.nowMs = 16_000;
  fleet.store({ desired: [desiredOf({ generation: 2, deployment: "d1", minHealthyMs: 10_000 })] });
  expect(() => fleet.store({ instances: [succeeded], events: [saysSo] })).toThrow(/before it was told/);
  const unsaid = event("instance.succeeded", "i1", { generation: 2, version: v2, cause: "report:i1/n1/8" });
  expect(() => reporting().store({ events: [unsaid] })).toThrow(/nothing of it was heard/);
});

test("a stop that leaves a process is noticed", () => {
  const stopped = event("instance.succeeded", "i1", {
    generation: 2,
    version: null,
    cause: "report:i1/n1/7",
  });
  expect(() => reporting().store({ events: [stopped] })).toThrow(/said to be stopped, and runs v2/);
});

/** The leader hears of it for longer than a moment. */
function heard() {
  const fleet = reporting();
  fleet.nowMs += 1_500;
  return fleet;
}

test("`stable` moves only with a deployment that has completed", () => {
  const moved = { ...succeeded, stable: v2 };
  expect(() => reporting().store({ instances: [moved] })).toThrow(/was stable on v1 and is on v2/);
  const completing = deploymentOf({ stage: "completing", ending: { outcome: "completed", reason: null } });
  const letGo = { ...moved, claim: null };
  expect(() => heard().store({ deployments: [completing], instances: [letGo] })).toThrow(/is told/);
  const fleet = reporting();
  fleet.store({ instances: [succeeded], events: [saysSo] });
  fleet.store({ deployments: [completing], instances: [letGo] });
  expect(fleet.ledger.instances.get("i1")?.stable).toEqual(v2);
});

test("a deployment that is done while somebody who reports waits or is on the way is noticed", () => {
  const done = deploymentOf({ stage: "completing", ending: { outcome: "completed", reason: null } });
  expect(() => heard().store({ deployments: [done] })).toThrow(/i1, which is there, is told/);
  const waiting = heard();
  waiting.store({ instances: [{ ...told, claim: claimOf() }] });
  expect(() => waiting.store({ deployments: [done] })).toThrow(/is waiting/);
  const silent = heard();
  silent.store({ instances: [{ ...told, claim: claimOf() }] });
  silent.nowMs = 60_000;
  expect(() => silent.store({ deployments: [done] })).not.toThrow();
  const back = reporting();
  expect(() => back.store({ deployments: [done] })).not.toThrow();
});
