import { expect, test } from "vitest";
import { createActorHost } from "../../../src/runtime/actor-host.js";
import { createSeededRandom } from "../../../src/runtime/random.js";
import { createVirtualClock } from "../../../src/runtime/virtual-clock.js";
import { bounds } from "../../../src/simulator/chaos/invariants/bounds.js";
import { quietLog } from "../../../src/simulator/quiet-log.js";
import { StagedFleet } from "./staged-fleet.js";

test("an actor of which a command failed is noticed, in whichever process it was", () => {
  const fleet = new StagedFleet(bounds);
  const clock = createVirtualClock();
  const host = createActorHost({ node: "n", clock, random: createSeededRandom(1), log: quietLog });
  fleet.hosts.push(host);
  fleet.invariant.atRest?.();
  fleet.hosts.push({ ...host, stats: { ...host.stats, failedCommands: 1 } });
  expect(() => fleet.invariant.faultsOver?.()).toThrow(/"failedCommands":1/);
  expect(() => fleet.invariant.atRest?.()).toThrow(/an actor has failed/);
});
