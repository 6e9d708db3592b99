import fc from "fast-check";
import { expect, test } from "vitest";
import { nextToConverge } from "../../machines/convergence.js";

const owed = (deployment: string, ...instances: string[]) =>
  instances.map((instance) => ({ instance, deployment }));

test("what a deployment still owes is told in its own batch size, whatever others owe", () => {
  const all = [...owed("d1", "a", "b", "c"), ...owed("d2", "x", "y", "z")];
  const batches: Readonly<Record<string, number>> = { d1: 1, d2: 2 };
  const next = nextToConverge(all, new Map(), (deployment) => batches[deployment] ?? 1);
  expect(next.map(({ instance }) => instance)).toEqual(["a", "x", "y"]);
});

test("instances on their way take slots; an over-full batch is not an unlimited one", () => {
  const all = owed("d1", "a", "b", "c");
  expect(nextToConverge(all, new Map([["d1", 1]]), () => 2)).toEqual(owed("d1", "a"));
  expect(nextToConverge(all, new Map([["d1", 2]]), () => 2)).toEqual([]);
  expect(nextToConverge(all, new Map([["d1", 5]]), () => 2)).toEqual([]);
});

test("on their way and told now are never more than the batch", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("d1", "d2", "d3"), { maxLength: 30 }),
      fc.dictionary(fc.constantFrom("d1", "d2", "d3"), fc.nat(6)),
      fc.integer({ min: 1, max: 5 }),
      (deployments, busy, batch) => {
        const all = deployments.flatMap((deployment, at) => owed(deployment, `i${at}`));
        const inFlight = new Map(Object.entries(busy));
        const next = nextToConverge(all, inFlight, () => batch);
        for (const deployment of ["d1", "d2", "d3"]) {
          const free = Math.max(0, batch - (inFlight.get(deployment) ?? 0));
          const waiting = all.filter((one) => one.deployment === deployment).length;
          expect(next.filter((one) => one.deployment === deployment).length).toBe(Math.min(free, waiting));
        }
      },
    ),
  );
});
