import { expect, test } from "vitest";
import { liveTwice } from "../../src/simulator/chaos/chaos.js";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";

test.each([2, 3, 4, 6])("life %i goes well, and is the same when it is lived again", async (seed) => {
  expect((await liveTwice(drawPlan(String(seed), { instancesMax: 12 }))).failure).toBeNull();
});
