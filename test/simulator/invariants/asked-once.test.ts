import { expect, test } from "vitest";
import { askedOnce } from "../../../src/simulator/chaos/invariants/asked-once.js";
import type { Asked } from "../../../src/simulator/chaos/people.js";
import { deploymentOf } from "../../machines/samples.js";
import { RollingFleet } from "./rolling-fleet.js";

/** A creation by the key `k` was answered so, and has made these. */
function asked(answer: Asked["answer"], ...ids: readonly string[]): RollingFleet {
  const fleet = new RollingFleet(askedOnce);
  fleet.answer({ endpoint: "deployments.create", request: { requestKey: "k" }, answer });
  for (const id of ids) fleet.store({ deployments: [deploymentOf({ id, requestKey: "k" })] });
  return fleet;
}

test("a request that makes two deployments, or another than it names, is noticed", () => {
  expect(() => asked({ reply: { id: "d1" } }, "d1", "d2")).toThrow(/has made d1 and d2/);
  expect(() => asked({ reply: { id: "d2" } }, "d1").invariant.atRest?.()).toThrow(/answered by d2/);
  expect(() => asked({ reply: { id: "d1" } }).invariant.atRest?.()).toThrow(/has made nothing/);
  expect(() => asked({ reply: { id: "d1" } }, "d1").invariant.atRest?.()).not.toThrow();
});

test("a deployment whose creation was refused is noticed", () => {
  const refused = asked({ code: "ROLLOUT_IN_PROGRESS" }, "d1");
  expect(() => refused.invariant.atRest?.()).toThrow(/was refused, ROLLOUT/);
  expect(() => asked({ code: "NO_LEADER" }, "d1").invariant.atRest?.()).not.toThrow();
});
