import fc from "fast-check";
import { expect, test } from "vitest";
import { nextToConverge, patienceMs } from "../../machines/convergence.js";

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

test("whoever is told has its whole time from when the ledger has it, and is judged only by what may have been heard", () => {
  const underWay = { toldAtMs: 1_000, deadlineMs: 10_000 };
  expect(patienceMs({ ...underWay, toldAtMs: null }, 60_000, 0)).toBeNull();
  expect(patienceMs(underWay, 1_000, 0)).toBe(10_000);
  expect(patienceMs(underWay, 10_999, 90_000)).toBe(1);
  expect(patienceMs(underWay, 11_000, 12_500)).toBe(1_500);
  // It is looked again: when anybody may be judged is put off further as long as nothing is heard.
  expect(patienceMs(underWay, 11_000, Number.MAX_SAFE_INTEGER)).toBe(5_000);
  expect(patienceMs(underWay, 11_000, 11_000)).toBe(0);
  expect(patienceMs(underWay, 60_000, 0)).toBe(0);
});
