import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { generations } from "../../../src/simulator/chaos/invariants/generations.js";
import { instanceOf } from "../../machines/samples.js";
import { StagedFleet } from "./staged-fleet.js";

function toldTwice(): StagedFleet {
  const fleet = new StagedFleet(generations);
  fleet.lead("c1");
  fleet.tell("i1", 1);
  fleet.tell("i1", 2);
  return fleet;
}

test("an instance that is told an older generation is noticed, or something else under the same", () => {
  expect(() => toldTwice().tell("i1", 1)).toThrow(/generation 1 after 2/);
  expect(() => toldTwice().tell("i1", 2, "v2")).toThrow(/generation 2 after 2/);
  expect(() => toldTwice().tell("i1", 2)).not.toThrow();
});

test("a desired state of which the instance's record knows nothing is noticed", () => {
  const fleet = toldTwice();
  const puts = { [keys.instance("i1")]: instanceOf({ generation: 5 }) };
  fleet.write({ puts });
  expect(() => fleet.tell("i1", 3)).not.toThrow();
  fleet.write({ puts: { [keys.instance("i1")]: instanceOf({ generation: 9 }) } });
  const desired = fleet.ledger.desired.get("i1");
  expect(() =>
    fleet.write({ puts: { [keys.desiredInstance("i1")]: { ...desired, generation: 10 } } }),
  ).toThrow(/told generation 10, its record has 9/);
});

test("an agent that says it acts on more than was asked is noticed", () => {
  expect(() => toldTwice().report({ observedGeneration: 3 })).toThrow(/acts on generation 3/);
});

test("an agent that goes back within one life is noticed, or behind what it made active in any", () => {
  const fleet = toldTwice();
  fleet.report({ observedGeneration: 2 });
  expect(() => fleet.report({ observedGeneration: 1 })).toThrow(/generation 1 after 2/);
  fleet.report({ observedGeneration: 1, incarnation: "n2" });
  fleet.do("activate", 2);
  expect(() => fleet.report({ observedGeneration: 1, incarnation: "n3" })).toThrow(/made 2 active/);
  expect(() => fleet.do("activate", 1)).toThrow(/makes generation 1 active after 2/);
});

test("what is done for a generation that was never asked is noticed", () => {
  expect(() => toldTwice().do("start", 3)).toThrow(/for generation 3, it was told 2/);
});

test("who left and came back may be told the same numbers again", () => {
  const fleet = toldTwice();
  fleet.do("activate", 2);
  fleet.write({ deletes: [keys.instance("i1"), keys.desiredInstance("i1")] });
  fleet.tell("i1", 1);
  fleet.report({ observedGeneration: 1 });
  expect(fleet.ledger.desired.get("i1")?.generation).toBe(1);
});
