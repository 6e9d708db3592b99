import { describe, expect, test } from "vitest";
import { batchMessagesMax } from "../../src/base/ports.js";
import {
  batch,
  contents,
  eventuallyIn,
  isLeadership,
  type LedgerWorld,
  lead,
  leaseMs,
} from "./ledger-world.js";

/** What a commit leaves behind, and what it refuses. */
export function writingSuite(world: () => LedgerWorld): void {
  describe("writing", () => {
    test("a batch is written whole, with growing revisions, and read as it was", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const values = {
        "desired.instance.i1": { n: 1, text: "ü€😀\u2028" },
        "deployment.d1": [null, 1.5, "x"],
        other: "",
      };
      const { revisions } = await leadership.commit(batch(values));
      expect(await contents(one.ledger)).toEqual(values);
      for (const [key, value] of Object.entries(values)) {
        expect(await one.ledger.get(key)).toEqual({
          key,
          value,
          revision: revisions.get(key),
          writtenAtMs: expect.any(Number),
        });
      }
      const again = await leadership.commit(batch({ other: 2 }));
      expect(again.revisions.get("other")).toBeGreaterThan(
        revisions.get("other") ?? Number.POSITIVE_INFINITY,
      );
    });

    test("the revisions of a commit are those that everybody reads", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const keys = Array.from({ length: 50 }, (_, index) => `desired.instance.i${index}`);
      const { revisions } = await leadership.commit(batch(Object.fromEntries(keys.map((key) => [key, key]))));
      const all = new Map((await one.ledger.readAll()).map((entry) => [entry.key, entry.revision]));
      for (const key of keys) expect(revisions.get(key)).toBe(all.get(key));
    });

    test("a deleted key is gone for all who read, and can be written again", async () => {
      const one = await world().open("one");
      const reader = await world().reader("agent");
      const leadership = await lead(one);
      await leadership.commit(batch({ "desired.instance.i1": 1, b: 2 }));
      const { revisions } = await leadership.commit(batch({}, ["desired.instance.i1", "never.was"]));
      expect(revisions.get("desired.instance.i1")).toBeGreaterThan(0);
      expect(await contents(one.ledger)).toEqual({ b: 2 });
      expect(await one.ledger.get("desired.instance.i1")).toBeUndefined();
      expect(await reader.get("desired.instance.i1")).toBeUndefined();
      await leadership.commit(batch({ "desired.instance.i1": 3 }));
      expect(await reader.get("desired.instance.i1")).toMatchObject({ value: 3 });
    });

    test("values are copies: nobody shares an object with the ledger", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const value = { list: [1] };
      const committing = leadership.commit(batch({ a: value }));
      value.list.push(2);
      await committing;
      const read = (await one.ledger.get("a"))?.value as { list: number[] };
      read.list.push(3);
      expect((await one.ledger.get("a"))?.value).toEqual({ list: [1] });
    });

    test("commits that are given at the same time are written one after the other, in order", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const all = await Promise.all(
        Array.from({ length: 20 }, (_, n) => leadership.commit(batch({ a: n, [`k.${n}`]: n }))),
      );
      const revisions = all.map(({ revisions }) => revisions.get("a") ?? 0);
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      expect(await one.ledger.get("a")).toMatchObject({ value: 19, revision: revisions.at(-1) });
    });

    test("the largest batch is written, a larger one is refused whole", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const of = (count: number) =>
        batch(Object.fromEntries(Array.from({ length: count }, (_, n) => [`k.${n}`, n])));
      await leadership.commit(of(batchMessagesMax - 1));
      expect(Object.keys(await contents(one.ledger))).toHaveLength(batchMessagesMax - 1);
      await expect(leadership.commit(of(batchMessagesMax))).rejects.toMatchObject({
        code: "BATCH_TOO_LARGE",
      });
      await expect(leadership.commit(batch({ a: 1, big: "x".repeat(1_100_000) }))).rejects.toMatchObject({
        code: "PAYLOAD_TOO_LARGE",
      });
      expect(await one.ledger.get("a")).toBeUndefined();
      await leadership.commit(batch({ a: 2 }));
    });

    test("a leader that another one replaced is refused by the store, whatever it believes", async () => {
      const [one, two] = [await world().open("one"), await world().open("two")];
      const first = await lead(one);
      await first.commit(batch({ a: "first" }));
      await world().cutOff("one");
      const second = await eventuallyIn(world(), async () => {
        const taken = await two.ledger.acquire({ holder: "two", leaseMs });
        return isLeadership(taken) && taken;
      });
      await second.commit(batch({ a: "second" }));
      await world().heal("one");
      await expect(first.commit(batch({ a: "first again" }))).rejects.toMatchObject({
        code: "DEPOSED",
        details: { epoch: 2 },
      });
      expect(await contents(one.ledger)).toEqual({ a: "second" });
      await expect(first.renew()).rejects.toMatchObject({ code: "DEPOSED" });
      await expect(first.commit(batch({ a: "and again" }))).rejects.toMatchObject({ code: "DEPOSED" });
    });

    test("half of a wave is written: the next leader finds it and goes on", async () => {
      const [one, two] = [await world().open("one"), await world().open("two")];
      const first = await lead(one);
      await first.commit(batch({ "deployment.d1": { intent: ["i1", "i2"] } }));
      await first.commit(batch({ "desired.instance.i1": "v2" }));
      await world().cutOff("one");
      const second = await eventuallyIn(world(), async () => {
        const taken = await two.ledger.acquire({ holder: "two", leaseMs });
        return isLeadership(taken) && taken;
      });
      expect(await contents(two.ledger)).toEqual({
        "deployment.d1": { intent: ["i1", "i2"] },
        "desired.instance.i1": "v2",
      });
      await second.commit(batch({ "desired.instance.i2": "v2" }));
      expect(Object.keys(await contents(two.ledger))).toHaveLength(3);
    });
  });
}
