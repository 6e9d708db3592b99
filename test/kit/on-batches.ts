import { type CommitListener, watchedLedger } from "../../src/simulator/watched-ledger.js";
import type { CoordinatorsWorld } from "./coordinators-world.js";

/** Shows every batch that a ledger of the world takes; only of ledgers that are opened from now on. */
export function onBatches(world: CoordinatorsWorld, listener: CommitListener): void {
  const { open } = world.store;
  const watched: typeof open = async (options) =>
    watchedLedger(await open.call(world.store, options), listener);
  Object.assign(world.store, { open: watched });
}
