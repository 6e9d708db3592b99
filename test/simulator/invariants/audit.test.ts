import { expect, test } from "vitest";
import type { LedgerEvent } from "../../../src/base/ports.js";
import { keys } from "../../../src/contracts/keys.js";
import { audit } from "../../../src/simulator/chaos/invariants/audit.js";
import { deploymentOf, instanceOf } from "../../machines/samples.js";
import { desiredOf, StagedFleet, told } from "./staged-fleet.js";

function led(): StagedFleet {
  const fleet = new StagedFleet(audit);
  fleet.lead("c1");
  return fleet;
}

const created: LedgerEvent = {
  kind: "deployment",
  id: "d1",
  type: "deployment.created",
  data: { step: 1 },
  actor: "user:anna",
  cause: "request:k1",
  generation: 1,
};

test("a record that changes without an event about it is noticed", () => {
  const fleet = led();
  fleet.write({ events: [created], puts: { [keys.deployment("d1")]: deploymentOf() } });
  expect(() =>
    fleet.write({ events: [told("i2", 1)], puts: { [keys.instance("i1")]: instanceOf() } }),
  ).toThrow(/instance i1 is written without an event/);
  expect(() => led().write({ events: [created], puts: { [keys.release("v1")]: {} } })).toThrow(
    /release v1 is written without an event/,
  );
});

test("a desired state without the event that tells of that very generation is noticed", () => {
  const puts = { [keys.desiredInstance("i1")]: desiredOf({ generation: 2 }) };
  expect(() => led().write({ events: [told("i1", 1)], puts })).toThrow(/without an event that tells it/);
  expect(() => led().write({ events: [told("i1", 2)], puts })).not.toThrow();
});

test("what happens once and is said twice is noticed", () => {
  const fleet = led();
  fleet.write({ events: [created] });
  expect(() => fleet.write({ events: [created] })).toThrow(/said twice/);
});

test.each([
  ["deployment:d2", /has the cause deployment:d2/],
  ["deployment:d1/2", /has the cause deployment:d1\/2/],
  ["report:i1/n1/0", /has the cause report/],
  ["epoch:2", /has the cause epoch:2/],
  ["the weather", /has the cause the weather/],
])("the cause %s, which there is not, is noticed", (cause, problem) => {
  const fleet = led();
  fleet.write({ events: [created] });
  expect(() => fleet.write({ events: [{ ...told("i1", 1), cause }] })).toThrow(problem);
});

test("causes that there are pass: a step of this epoch, a report that was sent, the leadership", () => {
  const fleet = led();
  fleet.write({ events: [created] });
  fleet.report({ seq: 4 });
  const causes = ["deployment:d1/1", "deployment:d1", "report:i1/n1/4", "epoch:1", "clock:silence"];
  for (const cause of causes) fleet.write({ events: [{ ...told("i1", 1), cause }] });
  expect(() => fleet.write({ events: [{ ...told("i1", 1), cause: "report:i1/n1/5" }] })).toThrow(/cause/);
});

test.each([
  [{ actor: "anna" }, /is by anna/],
  [{ generation: undefined }, /has no generation/],
  [{ type: "instance.changed" }, /not explained/],
])("an event like %j is noticed", (change, problem) => {
  const event = { ...told("i1", 1), ...change } as LedgerEvent;
  expect(() => led().write({ events: [event] })).toThrow(problem);
});

test("a break in the chain of events is noticed, and an end that is not its end", () => {
  const [fleet, other] = [led(), led()];
  fleet.write({ events: [told("i1", 1)] });
  other.write({ events: [told("i2", 1)] });
  const { invariant } = other;
  const first = fleet.committed.at(-1);
  const strange = other.committed.at(-1);
  expect(first && strange).toBeDefined();
  if (first === undefined || strange === undefined) return;
  expect(() => invariant.committed?.({ ...first, events: [] })).toThrow(/as their end/);
  fleet.write({ events: [told("i1", 2)] });
  const second = fleet.committed.at(-1);
  expect(() => second && invariant.committed?.(second)).toThrow(/does not follow/);
});
