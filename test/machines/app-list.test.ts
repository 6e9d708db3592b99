import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hearList, hearRecord, isBehind, nothingHeard } from "../../machines/app-list.js";

const ledgerId = "m1000000000000-a";
const later = "m2000000000000-b";
const list = (generation: number, apps: Record<string, number>, of = ledgerId) => ({
  ledgerId: of,
  generation,
  apps,
});

function heardUpTo(generation: number) {
  const heard = hearList(nothingHeard, list(generation, {}), generation, new Map())?.heard;
  if (heard === undefined) throw new Error("the first list is always taken");
  return heard;
}

describe("what is asked of apps", () => {
  test("is heard completely exactly if no record was left out, in whatever order they came", () => {
    const generations = fc.uniqueArray(fc.integer({ min: 6, max: 12 }));
    fc.assert(
      fc.property(generations, (order) => {
        let heard = heardUpTo(5);
        for (const appsGeneration of order) heard = hearRecord(heard, { ledgerId, appsGeneration }).heard;
        const highest = Math.max(5, ...order);
        // Out of order some may be read for nothing, but none is missed without notice.
        if (heard.generation === highest) {
          for (let generation = 6; generation <= highest; generation++) expect(order).toContain(generation);
        } else expect(isBehind(heard)).toBe(true);
        const inOrder = [...order].sort((one, other) => one - other);
        const isWhole = inOrder.every((generation, at) => generation === at + 6);
        let ordered = heardUpTo(5);
        for (const appsGeneration of inOrder)
          ordered = hearRecord(ordered, { ledgerId, appsGeneration }).heard;
        expect(isBehind(ordered)).toBe(!isWhole);
      }),
    );
  });

  test("before any list was read everything has been missed", () => {
    expect(hearRecord(nothingHeard, { ledgerId, appsGeneration: 1 }).missed).toBe(true);
    expect(isBehind(nothingHeard, 1)).toBe(true);
    expect(isBehind(heardUpTo(3), 3)).toBe(false);
  });

  test("of another ledger counts only if that is newer", () => {
    const heard = heardUpTo(5);
    expect(hearRecord(heard, { ledgerId: later, appsGeneration: 1 })).toEqual({ heard, missed: true });
    const old = "m0000000000001-z";
    expect(hearRecord(heard, { ledgerId: old, appsGeneration: 9 })).toEqual({ heard, missed: false });
    expect(hearList(heard, list(9, {}, old), 100, new Map())).toBeUndefined();
    expect(hearList(heard, list(1, {}, later), 1, new Map())?.heard.generation).toBe(1);
  });
});

describe("a list", () => {
  test("names what has to be read, and what is here and not in it", () => {
    const known = new Map([
      ["same", { ledgerId, generation: 2 }],
      ["newer", { ledgerId, generation: 3 }],
      ["older", { ledgerId, generation: 1 }],
      ["foreign", { ledgerId: "m0000000000001-z", generation: 2 }],
      ["gone", { ledgerId, generation: 1 }],
    ]);
    const found = hearList(
      nothingHeard,
      list(7, { same: 2, newer: 2, older: 2, foreign: 2, fresh: 1 }),
      40,
      known,
    );
    expect(found?.read).toEqual(["older", "foreign", "fresh"]);
    expect(found?.missing).toEqual(["gone"]);
    expect(found?.heard).toMatchObject({ generation: 7, accepted: { ledgerId, revision: 40 } });
  });

  test("that was read twice is taken twice, an older one is not", () => {
    const heard = heardUpTo(5);
    expect(hearList(heard, list(5, {}), 5, new Map())?.heard).toEqual(heard);
    expect(hearList(heard, list(4, {}), 4, new Map())).toBeUndefined();
  });

  test("does not take back what was heard after it was written", () => {
    const { heard } = hearRecord(heardUpTo(5), { ledgerId, appsGeneration: 6 });
    expect(hearList(heard, list(5, {}), 5, new Map())?.heard.generation).toBe(6);
  });
});
