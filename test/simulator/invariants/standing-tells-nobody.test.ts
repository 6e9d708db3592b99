import { expect, test } from "vitest";
import { standingTellsNobody } from "../../../src/simulator/chaos/invariants/standing-tells-nobody.js";
import { byAnna, claimOf, deploymentOf, instanceOf } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";

const mark = byAnna(0, "lunch");
const waiting = (id: string) => instanceOf({ id, claim: claimOf() });
const told = { instances: [instanceOf({ claim: claimOf({ state: "told" }) })] };

function rolling(changes: Parameters<typeof deploymentOf>[0] = {}): RollingFleet {
  const fleet = new RollingFleet(standingTellsNobody);
  fleet.store({
    deployments: [deploymentOf({ stage: "running", ...changes })],
    instances: ["i1", "i2", "i3", "i4", "i5"].map(waiting),
  });
  return fleet;
}

test("a deployment that is paused, held or ending and tells somebody is noticed", () => {
  expect(() => rolling({ paused: mark }).store(told)).toThrow(/while it stands: lunch/);
  expect(() => rolling({ held: mark }).store(told)).toThrow(/while it stands/);
  expect(() => rolling({ ending: { outcome: "aborted", reason: null } }).store(told)).toThrow(/is ending/);
  expect(() => rolling().store(told)).not.toThrow();
  const resumed = { ...told, deployments: [deploymentOf({ stage: "running" })] };
  expect(() => rolling({ paused: mark }).store(resumed)).not.toThrow();
});

/** All of them report for a minute; then some fall silent, for so long. */
function silent(ids: readonly string[], forMs: number, changes: Parameters<typeof deploymentOf>[0] = {}) {
  const fleet = rolling(changes);
  const all = ["i1", "i2", "i3", "i4", "i5"];
  for (let seq = 0; fleet.nowMs < 60_000 + forMs; seq++, fleet.nowMs += 1_000)
    for (const instance of all)
      if (fleet.nowMs < 60_000 || !ids.includes(instance)) fleet.report({ instance, seq });
  return fleet;
}

test("whoever is told just after many fell silent is noticed, unless a person forces it on", () => {
  const many = ["i2", "i3", "i4"];
  expect(() => silent(many, 11_000).store(told)).toThrow(/3 of 5 instances went silent at once/);
  expect(() => silent(many, 11_000, { forced: true }).store(told)).not.toThrow();
  expect(() => silent(["i2", "i3"], 11_000).store(told)).not.toThrow();
  expect(() => silent(many, 4_000).store(told)).not.toThrow();
});

test("not by a leader that could not hear of it in time", () => {
  const fallen = () => silent(["i2", "i3", "i4"], 11_000);
  const happens = (forMs: number, how: "stall" | "kill", struck: string) => {
    const fleet = fallen();
    fleet.nowMs -= 14_000;
    fleet.invariant.happens?.({ do: "coordinator", atMs: 0, which: 0, forMs, how }, [struck]);
    fleet.nowMs += 14_000;
    return fleet;
  };
  expect(() => happens(1_000, "stall", "c1").store(told)).not.toThrow();
  expect(() => happens(1_000, "kill", "c2").store(told)).toThrow(/went silent at once/);
  const lost = fallen();
  lost.invariant.happens?.(
    { do: "messages", atMs: 0, forMs: 1_000, how: "delay", of: "health", share: 1, ms: 1 },
    [],
  );
  expect(() => lost.store(told)).not.toThrow();
});
