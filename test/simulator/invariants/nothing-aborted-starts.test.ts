import { expect, test } from "vitest";
import { keys } from "../../../src/contracts/keys.js";
import { subjectsOf } from "../../../src/contracts/subjects.js";
import { nothingAbortedStarts } from "../../../src/simulator/chaos/invariants/nothing-aborted-starts.js";
import { RollingFleet } from "./rolling-fleet.js";

const bus = "agent-i1-1";

/** i1 was told to start generation 1, and then to go back, as generation 2. */
function aborted(): RollingFleet {
  const fleet = new RollingFleet(nothingAbortedStarts);
  fleet.tell("i1", 1);
  see(fleet);
  fleet.nowMs = 1_000;
  fleet.tell("i1", 2);
  return fleet;
}

/** Its agent is shown the newest desired state. */
function see(fleet: RollingFleet): void {
  const key = keys.desiredInstance("i1");
  const data = new TextEncoder().encode(JSON.stringify(fleet.ledger.desired.get("i1")));
  const passing = { from: "ledger-store", to: [bus], subject: subjectsOf("default").desired(key), data };
  fleet.invariant.taken?.(passing, bus);
}

test("an agent that starts what it knows to be over is noticed", () => {
  const fleet = aborted();
  expect(() => fleet.do("start", 1, { atMs: 2_000 })).not.toThrow();
  see(fleet);
  expect(() => fleet.do("start", 1, { atMs: 1_050 })).not.toThrow();
  expect(() => fleet.do("start", 1, { atMs: 2_000 })).toThrow(/knows generation 2/);
  expect(() => fleet.do("start", 2, { atMs: 2_000 })).not.toThrow();
});

test("what was active once may serve again", () => {
  const fleet = aborted();
  fleet.do("activate", 1);
  see(fleet);
  expect(() => fleet.do("start", 1, { atMs: 2_000 })).not.toThrow();
});

test("an agent that comes back and starts something before it has read is noticed", () => {
  const fleet = aborted();
  fleet.nowMs = 5_000;
  fleet.reconnectedAtMs.set(bus, 5_000);
  expect(() => fleet.do("start", 1, { atMs: 5_050 })).not.toThrow();
  expect(() => fleet.do("start", 1, { atMs: 6_000 })).toThrow(/came back 1000 ms ago/);
  // It got no answer for so long.
  expect(() => fleet.do("start", 1, { atMs: 12_000 })).not.toThrow();
  const read = aborted();
  read.reconnectedAtMs.set(bus, 1_000);
  read.nowMs = 1_001;
  see(read);
  expect(() => read.do("start", 2, { atMs: 2_000 })).not.toThrow();
});

test("a new life of an agent that starts something at once, before it has read, is noticed", () => {
  const fleet = aborted();
  fleet.nowMs = 3_000;
  const by = "agent-i1-2";
  fleet.invariant.sent?.({
    from: by,
    to: [],
    subject: "rollcall.v1.default.health.i1",
    data: new Uint8Array(),
  });
  expect(() => fleet.do("start", 1, { atMs: 3_010, by })).toThrow(/came back 10 ms ago/);
  expect(() => fleet.do("start", 2, { atMs: 3_010, by })).not.toThrow();
});
