import { expect, test } from "vitest";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import { families, familiesOf } from "../../src/simulator/chaos/families.js";
import { happeningSchema, lifePlanSchema, misuses } from "../../src/simulator/chaos/life-plan.js";

const plans = Array.from({ length: 400 }, (_, seed) => drawPlan(String(seed)));

test("every plan that is drawn is one that a file may hold, and the same seed draws the same", () => {
  for (const plan of plans.slice(0, 40)) {
    expect(lifePlanSchema.parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
    expect(drawPlan(plan.seed)).toEqual(plan);
  }
});

test("everything that can happen is drawn", () => {
  const happenings = plans.flatMap((plan) => plan.happenings);
  const drawn = new Set(
    happenings.flatMap((happening) => [
      happening.do,
      ...("how" in happening ? [`${happening.do} ${happening.how}`] : []),
      ...("verb" in happening ? [happening.verb] : []),
      ...("what" in happening ? [happening.what] : []),
    ]),
  );
  const kinds = happeningSchema.options.flatMap(({ shape }) => {
    const [kind = ""] = shape.do.values;
    return [kind, ...("how" in shape ? shape.how.options.map((how) => `${kind} ${how}`) : [])];
  });
  for (const expected of [
    ...kinds,
    ...misuses,
    "pause",
    "resume",
    "force",
    "abort",
    "rollback",
    "retry",
    "uninstall",
  ])
    expect(drawn).toContain(expected);
  expect(happenings.some((one) => one.do === "deploy" && one.release === null && one.config !== null)).toBe(
    true,
  );
});

test("each kind of fault is missing from a good share of the lives, and there in a good share", () => {
  for (const family of families) {
    const share = plans.filter((plan) => familiesOf(plan).includes(family)).length / plans.length;
    expect(share, family).toBeGreaterThan(0.3);
    expect(share, family).toBeLessThan(0.7);
  }
});

test("coordinators and agents of the next version are among the first, and a small fleet on request", () => {
  expect(plans.some(({ coordinators }) => new Set(coordinators.map(({ isNext }) => isNext)).size === 2)).toBe(
    true,
  );
  expect(plans.some(({ instances }) => instances.some(({ isNext }) => isNext))).toBe(true);
  const processes = plans.flatMap(({ appInstances }) => appInstances);
  expect(new Set(processes.map(({ isNext }) => isNext)).size).toBe(2);
  expect(processes.some(({ startsAtMs }) => startsAtMs > 0)).toBe(true);
  expect(drawPlan("12", { instancesMax: 2 }).instances.length).toBeLessThanOrEqual(2);
});
