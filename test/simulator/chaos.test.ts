import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type LifeReport, liveTwice, planOf } from "../../src/simulator/chaos/chaos.js";
import { lifePlanSchema } from "../../src/simulator/chaos/life-plan.js";
import { type Mark, marks } from "../../src/simulator/chaos/marks.js";

/** Lives that have found something once. A seed gives another life when more is drawn; a whole plan stays what it is. */
const regressions = z
  .array(
    z.strictObject({
      order: z.union([
        z.strictObject({ seed: z.string(), instancesMax: z.int() }),
        z.strictObject({ plan: lifePlanSchema }),
      ]),
      found: z.string().min(1),
      fixedBy: z.string().min(1),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL("../seeds/regressions.json", import.meta.url), "utf8")));

/** Made by hand: what hardly any of a few drawn lives has happens in it. */
const madeLife = lifePlanSchema.parse(
  JSON.parse(readFileSync(new URL("../seeds/made-life.json", import.meta.url), "utf8")),
);

/** Cheap ones that reach the marks that neither the one that is made reaches nor those that have found something. */
const seeds = ["19", "32", "43", "71", "103", "263"];

const reached = new Set<Mark>();

async function lived(report: Promise<LifeReport>) {
  const { failure, marks: of } = await report;
  for (const mark of of) reached.add(mark);
  return failure;
}

describe("random lives", () => {
  test.each(seeds)("of seed %s goes well, and is the same when it is lived again", async (seed) => {
    expect(await lived(liveTwice(planOf({ seed, instancesMax: 5 })))).toBeNull();
  });

  test("that is made goes well too", async () => {
    expect(await lived(liveTwice(madeLife))).toBeNull();
  });
});

describe("what a life has found once", () => {
  for (const { order, found, fixedBy } of regressions)
    test(`does not come back: ${found} (${fixedBy})`, async () => {
      expect(await lived(liveTwice(planOf(order)))).toBeNull();
    });
});

afterAll(() => {
  expect((Object.keys(marks) as Mark[]).filter((mark) => !reached.has(mark))).toEqual([]);
});
