import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import type { AppNode } from "../../../src/simulator/chaos/app-node.js";
import { formats } from "../../../src/simulator/chaos/invariants/formats.js";
import { nextFormats } from "../../../src/simulator/chaos/next-formats.js";
import { desiredApp } from "../../machines/app-samples.js";
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

test("apps that are told in a format that an instance of the fleet does not read, or nobody agreed on, are noticed", () => {
  const tell = (fleet: StagedFleet, format: number) => () =>
    fleet.write({ puts: { [keys.desiredApp("mail")]: { ...toldApp, format } } });
  const fleet = led();
  const agree = (written: object) => fleet.write({ puts: { formats: { format: 1, written } } });
  const toldApp = nextFormats["desired.app"].write(desiredApp(1, "enabled"), 2) as object;
  expect(tell(fleet, 2)).toThrow(/desired.app.mail in format 2, agreed is 1/);
  agree({ "desired.app": 2, app: 2 });
  fleet.apps.set("p1", { isNext: false } as AppNode);
  // It is not in the fleet.
  expect(tell(fleet, 2)).not.toThrow();
  expect(fleet.marks).toContain("appsToldInNewer");
  fleet.write({ puts: { [keys.appInstance("p1")]: {} } });
  expect(tell(fleet, 2)).toThrow(/in format 2, which p1 does not read/);
});

test("what a restore writes is in the formats of the backup, and may be in older ones than were written since", () => {
  const fleet = led();
  raise(fleet, 2);
  fleet.write({ puts: deployment(2) });
  fleet.lead("tool-1");
  expect(() => fleet.write({ puts: deployment(1), deletes: [keys.eventHead] })).not.toThrow();
  fleet.lead("c2");
  expect(() => fleet.write({ puts: deployment(2) })).toThrow(/in format 2, agreed is 1/);
  fleet.invariant.ledgerReplaced?.("lost");
  expect(() => fleet.write({ puts: deployment(1) })).not.toThrow();
});
