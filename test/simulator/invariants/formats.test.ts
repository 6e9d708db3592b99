import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { formats } from "../../../src/simulator/chaos/invariants/formats.js";
import { nextFormats } from "../../../src/simulator/chaos/next-formats.js";
import { deploymentOf, sightingOf } from "../../machines/samples.js";
import { desiredOf, StagedFleet } from "./staged-fleet.js";

const deployment = (format: number) => ({
  [keys.deployment("d1")]: nextFormats.deployment.write(deploymentOf(), format),
});
const desired = (format: number) => ({
  [keys.desiredInstance("i1")]: nextFormats["desired.instance"].write(desiredOf({}), format),
});

function led(): StagedFleet {
  const fleet = new StagedFleet(formats);
  fleet.lead("c1");
  return fleet;
}

const raise = (fleet: StagedFleet, format: number) =>
  fleet.write({
    puts: { formats: { format: 1, written: { deployment: format, "desired.instance": format } } },
  });

test("a record in a format that nobody agreed on is noticed", () => {
  expect(() => led().write({ puts: deployment(2) })).toThrow(/in format 2, agreed is 1/);
});

test("an agreement that is taken back is noticed", () => {
  const fleet = led();
  raise(fleet, 2);
  expect(fleet.marks).toContain("formatsRaised");
  expect(() => raise(fleet, 1)).toThrow(/format 1 again after 2/);
});

test("a newer record that is written in the older format is noticed", () => {
  const fleet = led();
  raise(fleet, 2);
  fleet.write({ puts: deployment(2) });
  expect(() => fleet.write({ puts: deployment(1) })).toThrow(/in format 1 after 2/);
});

test("an agent that is told something in a format which it does not read is noticed", () => {
  const fleet = led();
  raise(fleet, 2);
  fleet.report({ state: sightingOf({ desiredFormat: 2 }).state });
  fleet.write({ puts: desired(2) });
  fleet.report({ state: sightingOf({ desiredFormat: 1 }).state });
  expect(() => fleet.write({ puts: desired(2) })).toThrow(/in format 2, its agent reads 1/);
});
