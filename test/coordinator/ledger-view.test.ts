import { expect, test } from "vitest";
import type { Sighting } from "../../machines/member.js";
import { Catalog } from "../../src/coordinator/catalog.js";
import type { KnownFleet } from "../../src/coordinator/known-fleet.js";
import { ledgerView } from "../../src/coordinator/ledger-view.js";
import type { MemberState } from "../../src/coordinator/members.js";
import { instanceOf, sightingOf } from "../machines/samples.js";

/** A fleet whose instances, at generation 1 by their records, say this of themselves. */
function fleetOf(...said: Partial<Sighting>[]): KnownFleet {
  const members = said.map((changes): MemberState => {
    const context = {
      record: instanceOf({ generation: 1 }),
      seen: sightingOf({ observedGeneration: 1, running: null, ...changes }),
      silent: false,
      stranger: null,
    };
    return { value: { status: "HEALTHY", update: "NOT_NEEDED" }, context };
  });
  return {
    catalog: new Catalog(),
    ledger: () => ({ ledgerId: "m1893456000000-x", restoredFrom: null }),
    members: () => members,
  } as Partial<KnownFleet> as KnownFleet;
}

test("a ledger that knows all that its instances do has nothing to say", () => {
  expect(ledgerView(fleetOf({}, { observedGeneration: 0 }))).toMatchObject({ strangers: 0, notice: null });
});

test("a store that was put back to an earlier state is told by instances that have acted on more of the very same ledger", () => {
  const { strangers, notice } = ledgerView(fleetOf({ observedGeneration: 7 }, {}));
  expect(strangers).toBe(1);
  expect(notice).toMatch(/^1 instance has acted on more than this ledger knows: its store was put back/);
  expect(notice).toContain("Take a backup of it and restore it");
});

test("an older ledger than the one that instances listen to is told first", () => {
  const { notice } = ledgerView(fleetOf({ ledger: "newer" }, { ledger: "newer" }, { ledger: "earlier" }));
  expect(notice).toMatch(/^2 instances listen to a ledger that is newer than this one/);
  expect(notice).toContain("Set the clocks right, then take a backup of this ledger and restore it.");
});
