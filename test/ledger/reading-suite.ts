import { describe, expect, test } from "vitest";
import type { LedgerEntry } from "../../src/base/ports.js";
import { batch, contents, eventuallyIn, type LedgerWorld, lead } from "./ledger-world.js";

/** What those see who only read. */
export function readingSuite(world: () => LedgerWorld): void {
  describe("reading and watching", () => {
    test("an agent sees desired states as they are written, deletions too, in growing revisions, and nothing else", async () => {
      const one = await world().open("one");
      const reader = await world().reader("agent");
      const seen: LedgerEntry[] = [];
      const all: LedgerEntry[] = [];
      reader.watch("desired.instance.i1", (entry) => seen.push(entry));
      const watchingAll = one.ledger.watch("desired.>", (entry) => all.push(entry));
      await reader.bus.flush();
      await one.bus.flush();
      const leadership = await lead(one);
      await leadership.commit(
        batch({ "desired.instance.i1": { v: 1 }, "desired.instance.i2": 1, "instance.i1": "own" }),
      );
      await leadership.commit(batch({ "desired.apps": [] }, ["desired.instance.i1"]));
      await leadership.commit(batch({ "desired.instance.i1": { v: 2 } }));
      await eventuallyIn(world(), () => seen.length >= 3 && all.length >= 5);
      expect(seen.map(({ value }) => value)).toEqual([{ v: 1 }, undefined, { v: 2 }]);
      expect(all.map(({ key }) => key)).toEqual([
        "desired.instance.i1",
        "desired.instance.i2",
        "desired.apps",
        "desired.instance.i1",
        "desired.instance.i1",
      ]);
      for (const entries of [seen, all]) {
        const revisions = entries.map(({ revision }) => revision);
        expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
        expect(new Set(revisions).size).toBe(revisions.length);
      }
      expect(await reader.get("desired.instance.i1")).toEqual(seen.at(-1));
      watchingAll.unsubscribe();
      await leadership.commit(batch({ "desired.instance.i3": 1 }));
      await one.bus.flush();
      expect(all).toHaveLength(5);
    });

    test("a key that was never written is undefined", async () => {
      await world().open("one");
      const reader = await world().reader("agent");
      expect(await reader.get("desired.instance.none")).toBeUndefined();
    });

    test("what an agent missed while it was cut off it gets afterwards", async () => {
      const one = await world().open("one");
      const reader = await world().reader("agent");
      const leadership = await lead(one);
      await leadership.commit(batch({ "desired.instance.i1": 1 }));
      await world().cutOff("agent");
      await expect(reader.get("desired.instance.i1")).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      await leadership.commit(batch({ "desired.instance.i1": 2 }));
      await world().heal("agent");
      const read = await eventuallyIn(world(), () =>
        reader.get("desired.instance.i1").catch(() => undefined),
      );
      expect(read).toMatchObject({ value: 2 });
    });

    test("everything is read, also where there is more than one answer holds", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      for (let chunk = 0; chunk < 6; chunk++) {
        await leadership.commit(
          batch(
            Object.fromEntries(
              Array.from({ length: 500 }, (_, n) => [`instance.c${chunk}-${n}`, { chunk, n }]),
            ),
          ),
        );
      }
      const all = await contents(one.ledger);
      expect(Object.keys(all)).toHaveLength(3_000);
      expect(all["instance.c5-499"]).toEqual({ chunk: 5, n: 499 });
    });
  });
}
