import { expect, test } from "vitest";
import { targetsOf } from "../../machines/deployment-targets.js";
import type { InstanceRecord } from "../../src/contracts/deployment.js";
import { claimOf, deploymentOf, instanceOf, v1, v2 } from "./samples.js";

const rollback = deploymentOf({ id: "d2", rollbackOf: "d1" });
const none: ReadonlySet<string> = new Set<string>();
const d1: ReadonlySet<string> = new Set(["d1"]);
const nobody = () => false;

function targets(
  deployment: typeof rollback,
  instances: readonly InstanceRecord[],
  siblings = none,
  isSilent: (instance: string) => boolean = nobody,
) {
  return targetsOf(deployment, instances, { siblings, isSilent });
}

test("a roll-out takes the free instances that its selector chooses, from what was stable there", () => {
  const fleet = [
    instanceOf({ id: "web", stable: v1 }),
    instanceOf({ id: "db", labels: { tier: "db" }, stable: v1 }),
    instanceOf({ id: "taken", claim: claimOf({ deployment: "d0" }) }),
    instanceOf({ id: "new" }),
  ];
  expect(targets(deploymentOf({ spec: { selector: "tier=web" } }), fleet)).toEqual([
    { instance: "new", target: v2, before: null, urgent: false },
    { instance: "web", target: v2, before: v1, urgent: false },
  ]);
});

test("their turn is by name, numbers as numbers, in whatever order they are known", () => {
  const fleet = ["web-10", "web-2", "web-1"].map((id) => instanceOf({ id }));
  expect(targets(deploymentOf(), fleet).map(({ instance }) => instance)).toEqual([
    "web-1",
    "web-2",
    "web-10",
  ]);
});

test("a configuration alone goes only where a release runs", () => {
  const spec = { release: null, config: "c1" };
  const fleet = [
    instanceOf({ id: "a", stable: v1 }),
    instanceOf({ id: "b", desired: v2 }),
    instanceOf({ id: "c" }),
  ];
  expect(targets(deploymentOf({ spec }), fleet).map(({ instance, target }) => [instance, target])).toEqual([
    ["a", { release: "v1", config: "c1" }],
    ["b", { release: "v2", config: "c1" }],
  ]);
});

test("a rollback takes what the roll-out told, each to its own version before: in flight and failed ones at once", () => {
  const told = { toldAtMs: 5, before: v1 };
  const fleet = [
    instanceOf({ id: "failed", claim: claimOf({ ...told, state: "failed", hasFailed: true }) }),
    instanceOf({ id: "in-flight", claim: claimOf({ ...told, state: "told" }) }),
    instanceOf({
      id: "other",
      claim: claimOf({ ...told, state: "succeeded", before: { release: "v0", config: null } }),
    }),
    instanceOf({ id: "reset", claim: claimOf({ state: "waiting", hasFailed: true }) }),
    instanceOf({ id: "silent", claim: claimOf({ ...told, state: "succeeded" }) }),
    instanceOf({ id: "succeeded", claim: claimOf({ ...told, state: "succeeded" }) }),
    instanceOf({ id: "untouched", claim: claimOf({ state: "waiting" }) }),
    instanceOf({ id: "unneeded", claim: claimOf({ state: "notNeeded" }) }),
    instanceOf({ id: "without", claim: claimOf({ ...told, state: "told", before: null }) }),
  ];
  const found = targets(rollback, fleet, d1, (instance) => instance === "silent");
  expect(found.map(({ instance, target, urgent }) => [instance, target?.release ?? null, urgent])).toEqual([
    ["failed", "v1", true],
    ["in-flight", "v1", true],
    ["other", "v0", false],
    ["reset", "v1", true],
    ["silent", "v1", true],
    ["succeeded", "v1", false],
    ["without", null, true],
  ]);
});

test("a rollback of a finished roll-out takes what it told last, and leaves what a later one has touched", () => {
  const fleet = [
    instanceOf({ id: "done", last: { deployment: "d1", before: v1, result: "succeeded" } }),
    instanceOf({ id: "failed", last: { deployment: "d1", before: v1, result: "failed" } }),
    instanceOf({ id: "later", last: { deployment: "d7", before: v1, result: "succeeded" } }),
    instanceOf({ id: "never" }),
    instanceOf({
      id: "busy",
      last: { deployment: "d1", before: v1, result: "succeeded" },
      claim: claimOf({ deployment: "d7" }),
    }),
  ];
  const found = targets(rollback, fleet, d1);
  expect(found.map(({ instance, urgent }) => [instance, urgent])).toEqual([
    ["done", false],
    ["failed", true],
  ]);
});

test("a rollback tried again takes those that are not back yet", () => {
  const again = deploymentOf({ id: "d3", rollbackOf: "d1", retryOf: "d2" });
  const fleet = [
    instanceOf({ id: "back", last: { deployment: "d2", before: v1, result: "succeeded" } }),
    instanceOf({ id: "not", last: { deployment: "d2", before: v1, result: "failed" } }),
    instanceOf({ id: "untold", last: { deployment: "d1", before: v1, result: "failed" } }),
  ];
  const found = targets(again, fleet, new Set(["d1", "d2"]));
  expect(found.map(({ instance }) => instance)).toEqual(["not", "untold"]);
});

test("a retry takes those that did not succeed, and those to which the version is still owed", () => {
  const again = deploymentOf({ id: "d2", retryOf: "d1", spec: { selector: "tier=none" } });
  const fleet = [
    instanceOf({ id: "done", last: { deployment: "d1", before: v1, result: "succeeded" } }),
    instanceOf({ id: "failed", last: { deployment: "d1", before: v1, result: "failed" }, stable: v1 }),
    instanceOf({ id: "owed", owed: { deployment: "d1", target: v2, minHealthyMs: 0 } }),
    instanceOf({ id: "strange" }),
  ];
  expect(targets(again, fleet).map(({ instance }) => instance)).toEqual(["failed", "owed"]);
});
