import { expect, test } from "vitest";
import { doneOnce } from "../../../src/simulator/chaos/invariants/done-once.js";
import { RollingFleet } from "./rolling-fleet.js";

function started(times: number): RollingFleet {
  const fleet = new RollingFleet(doneOnce);
  fleet.tell("i1", 1);
  for (let time = 0; time < times; time++) fleet.do("start", 1);
  return fleet;
}

test("more starts in a row than a release may have are noticed", () => {
  expect(() => started(4)).not.toThrow();
  expect(() => started(4).do("start", 1)).toThrow(/for the 5th time/);
});

test("a new life of the agent, something new to run and a minute of peace begin it anew", () => {
  expect(() => started(4).do("start", 1, { by: "agent-i1-2" })).not.toThrow();
  const asked = started(4);
  asked.tell("i1", 2);
  expect(() => asked.do("start", 1)).not.toThrow();
  expect(() => started(4).do("start", 1, { atMs: 60_000 })).not.toThrow();
});

test("what was active before may serve again twice: before an update, and after it has failed", () => {
  const fleet = new RollingFleet(doneOnce);
  fleet.tell("i1", 1);
  fleet.tell("i1", 2);
  for (let time = 0; time < 8; time++) fleet.do("start", 1);
  expect(() => fleet.do("start", 1)).toThrow(/for the 9th time/);
});

test("a second process beside the one that runs is noticed", () => {
  const fleet = started(1);
  fleet.host("i1", { current: "v1", running: [["v1", 10]] });
  expect(() => fleet.do("start", 1)).toThrow(/which runs/);
});
