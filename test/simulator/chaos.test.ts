import { expect, test } from "vitest";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import { live } from "../../src/simulator/chaos/life.js";

test.each([1, 2, 3, 4])("life %i goes well, and is the same when it is lived again", async (seed) => {
  const plan = drawPlan(String(seed), { instancesMax: 12 });
  const [one, two] = [await live(plan), await live(plan)];
  expect(one.failure).toBeNull();
  expect(two.digest).toBe(one.digest);
});
