import { afterEach, beforeEach, describe } from "vitest";
import { leadingSuite } from "./leading-suite.js";
import type { LedgerWorld } from "./ledger-world.js";
import { readingSuite } from "./reading-suite.js";
import { troubleSuite } from "./trouble-suite.js";
import { writingSuite } from "./writing-suite.js";

/** What holds of every ledger, each test in a world of its own. */
export function ledgerSuite(name: string, openWorld: () => Promise<LedgerWorld>): void {
  describe(name, () => {
    let opened: LedgerWorld;
    beforeEach(async () => {
      opened = await openWorld();
    });
    afterEach(() => opened.end());

    const world = () => opened;
    leadingSuite(world);
    writingSuite(world);
    troubleSuite(world);
    readingSuite(world);
  });
}
