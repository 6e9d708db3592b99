import { expect, test } from "vitest";
import { firstToHear } from "../../machines/takeover.js";
import { claimOf, instanceOf } from "./samples.js";

const fleet = [
  instanceOf({ id: "idle" }),
  instanceOf({ id: "next-1", claim: claimOf({ state: "waiting" }) }),
  instanceOf({ id: "moving", claim: claimOf({ state: "told" }) }),
  instanceOf({ id: "done", claim: claimOf({ state: "succeeded" }) }),
  instanceOf({ id: "next-2", claim: claimOf({ state: "waiting" }) }),
];

test("a new leader hears first who is in flight, then whose turn comes, and asks nobody else", () => {
  expect(firstToHear(fleet, 10)).toEqual(["moving", "next-1", "next-2"]);
});

test("it asks no more than it can take in at once", () => {
  expect(firstToHear(fleet, 2)).toEqual(["moving", "next-1"]);
});
