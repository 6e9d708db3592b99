import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import type { Leadership, LeaseHeld, Ledger, LedgerEntry } from "../../src/base/ports.js";
import { batchMessagesMax } from "../../src/base/ports.js";
import { batch, eventuallyIn, isLeadership, type LedgerWorld, lead, leaseMs } from "./ledger-world.js";

export function ledgerSuite(name: string, openWorld: () => Promise<LedgerWorld>): void {
  describe(name, () => {
    let world: LedgerWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(() => world.end());

    const pass = (ms: number) => new Promise<void>((resolve) => world.clock.setTimer(ms, resolve));

    /** As a leader does: a renewal that a busy machine did not answer in time is asked for again. */
    async function renew(leadership: Leadership): Promise<void> {
      await eventuallyIn(world, () =>
        leadership.renew().then(
          () => true,
          (thrown: unknown) => {
            if (thrown instanceof RollcallError && thrown.code === "LEDGER_UNAVAILABLE") return false;
            throw thrown;
          },
        ),
      );
    }

    async function contents(ledger: Ledger): Promise<Record<string, unknown>> {
      const own = new Set(["lease", "epoch", "ledger", "event-head"]);
      const entries = (await ledger.readAll()).filter(({ key }) => !own.has(key));
      return Object.fromEntries(
        entries.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ key, value }) => [key, value]),
      );
    }

    describe("leading", () => {
      test("one leads, the other is told who and since when, and each new leader has a greater epoch", async () => {
        const [one, two] = [await world.open("one"), await world.open("two")];
        expect(await one.ledger.lease()).toBeUndefined();
        const leadership = await lead(one);
        expect(leadership).toMatchObject({ epoch: 1, holder: "one" });
        const held = await two.ledger.acquire({ holder: "two", leaseMs });
        expect(held).toMatchObject({ heldBy: "one", epoch: 1 });
        expect(await two.ledger.lease()).toEqual(held);
        expect(Math.abs((held as LeaseHeld).since - leadership.ledgerNowMs())).toBeLessThan(10_000);
        await leadership.resign();
        expect(await two.ledger.lease()).toBeUndefined();
        expect(await lead(two, "two")).toMatchObject({ epoch: 2, holder: "two" });
      });

      test("all processes see the same ledger id, and it stays", async () => {
        const ledgers = await Promise.all(["one", "two", "three"].map((name) => world.open(name)));
        const ids = new Set(ledgers.map(({ ledger }) => ledger.ledgerId));
        expect(ids.size).toBe(1);
        expect([...ids][0]).toMatch(/^m\d{13}-\w{22}$/);
      });

      test("of many who want to lead at the same time one does", async () => {
        const processes = await Promise.all(
          ["a", "b", "c", "d"].map(async (name) => [name, await world.open(name)] as const),
        );
        const taken = await Promise.all(
          processes.map(([holder, { ledger }]) => ledger.acquire({ holder, leaseMs })),
        );
        expect(taken.filter(isLeadership)).toHaveLength(1);
      });

      test("a renewed lease goes on, and a lease that nobody renews ends", async () => {
        const [one, two] = [await world.open("one"), await world.open("two")];
        const leadership = await lead(one);
        const firstUntilMs = leadership.validUntilMs();
        expect(firstUntilMs).toBeLessThanOrEqual(world.clock.monotonicMs() + leaseMs);
        for (let count = 0; count < 2; count++) {
          await pass(leaseMs * 0.6);
          await renew(leadership);
        }
        expect(leadership.validUntilMs()).toBeGreaterThan(firstUntilMs + leaseMs);
        expect(await two.ledger.acquire({ holder: "two", leaseMs })).toMatchObject({ heldBy: "one" });
        const next = await eventuallyIn(world, async () => {
          const taken = await two.ledger.acquire({ holder: "two", leaseMs });
          return isLeadership(taken) && taken;
        });
        expect(next.epoch).toBe(2);
        expect(world.clock.monotonicMs()).toBeGreaterThanOrEqual(leadership.validUntilMs());
        await expect(leadership.renew()).rejects.toMatchObject({ code: "DEPOSED", details: { epoch: 2 } });
      });

      test("a lease that is given back is announced, and taken within milliseconds", async () => {
        const [one, two] = [await world.open("one"), await world.open("two")];
        const leadership = await lead(one);
        const next = new Promise<Leadership | LeaseHeld>((resolve, reject) => {
          two.ledger.watch("lease", ({ value }) => {
            if (value === undefined) two.ledger.acquire({ holder: "two", leaseMs }).then(resolve, reject);
          });
        });
        await two.bus.flush();
        const startMs = world.clock.monotonicMs();
        await leadership.resign();
        const taken = await next;
        expect(isLeadership(taken)).toBe(true);
        expect(world.clock.monotonicMs() - startMs).toBeLessThan(leaseMs / 2);
        await expect(leadership.commit(batch({}))).rejects.toMatchObject({ code: "DEPOSED" });
        await leadership.resign();
        expect(await one.ledger.lease()).toMatchObject({ heldBy: "two" });
      });

      test("a holder takes the lease from itself at once, and the former leadership can write no more", async () => {
        const one = await world.open("one");
        const first = await lead(one);
        await first.commit(batch({ a: 1 }));
        const second = await lead(one);
        expect(second.epoch).toBe(2);
        await expect(first.commit(batch({ a: 2 }))).rejects.toMatchObject({
          code: "DEPOSED",
          details: { epoch: 2 },
        });
        await second.commit(batch({ a: 3 }));
        expect(await contents(one.ledger)).toEqual({ a: 3 });
      });

      test("ledger time is the store's, and goes on over a change of leader", async () => {
        const [one, two] = [await world.open("one"), await world.open("two")];
        const first = await lead(one);
        await first.commit(batch({ a: 1 }));
        const written = (await one.ledger.get("a"))?.writtenAtMs ?? 0;
        expect(Math.abs(first.ledgerNowMs() - written)).toBeLessThan(5_000);
        await first.resign();
        const second = await lead(two, "two");
        expect(second.ledgerNowMs()).toBeGreaterThanOrEqual(written - 1);
      });
    });

    describe("writing", () => {
      test("a batch is written whole, with growing revisions, and read as it was", async () => {
        const one = await world.open("one");
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
        const one = await world.open("one");
        const leadership = await lead(one);
        const keys = Array.from({ length: 50 }, (_, index) => `desired.instance.i${index}`);
        const { revisions } = await leadership.commit(
          batch(Object.fromEntries(keys.map((key) => [key, key]))),
        );
        const all = new Map((await one.ledger.readAll()).map((entry) => [entry.key, entry.revision]));
        for (const key of keys) expect(revisions.get(key)).toBe(all.get(key));
      });

      test("a deleted key is gone for all who read, and can be written again", async () => {
        const one = await world.open("one");
        const reader = await world.reader("agent");
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
        const one = await world.open("one");
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
        const one = await world.open("one");
        const leadership = await lead(one);
        const all = await Promise.all(
          Array.from({ length: 20 }, (_, n) => leadership.commit(batch({ a: n, [`k.${n}`]: n }))),
        );
        const revisions = all.map(({ revisions }) => revisions.get("a") ?? 0);
        expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
        expect(await one.ledger.get("a")).toMatchObject({ value: 19, revision: revisions.at(-1) });
      });

      test("the largest batch is written, a larger one is refused whole", async () => {
        const one = await world.open("one");
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
        const [one, two] = [await world.open("one"), await world.open("two")];
        const first = await lead(one);
        await first.commit(batch({ a: "first" }));
        await world.cutOff("one");
        const second = await eventuallyIn(world, async () => {
          const taken = await two.ledger.acquire({ holder: "two", leaseMs });
          return isLeadership(taken) && taken;
        });
        await second.commit(batch({ a: "second" }));
        await world.heal("one");
        await expect(first.commit(batch({ a: "first again" }))).rejects.toMatchObject({
          code: "DEPOSED",
          details: { epoch: 2 },
        });
        expect(await contents(one.ledger)).toEqual({ a: "second" });
        await expect(first.renew()).rejects.toMatchObject({ code: "DEPOSED" });
        await expect(first.commit(batch({ a: "and again" }))).rejects.toMatchObject({ code: "DEPOSED" });
      });

      test("half of a wave is written: the next leader finds it and goes on", async () => {
        const [one, two] = [await world.open("one"), await world.open("two")];
        const first = await lead(one);
        await first.commit(batch({ "deployment.d1": { intent: ["i1", "i2"] } }));
        await first.commit(batch({ "desired.instance.i1": "v2" }));
        await world.cutOff("one");
        const second = await eventuallyIn(world, async () => {
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

    describe("when things go wrong", () => {
      test("a commit whose answer is lost is written once, and its revisions are known", async () => {
        const one = await world.open("one");
        const leadership = await lead(one);
        await leadership.commit(batch({ a: 0 }));
        const fault = await world.loseNextAnswer("one");
        const committing = leadership.commit(batch({ a: 1, b: 1 }));
        await fault.healed();
        const { revisions } = await committing;
        const read = new Map((await one.ledger.readAll()).map((entry) => [entry.key, entry.revision]));
        expect(revisions.get("a")).toBe(read.get("a"));
        expect(revisions.get("b")).toBe(read.get("b"));
        await leadership.commit(batch({ a: 2 }));
        expect(await contents(one.ledger)).toEqual({ a: 2, b: 1 });
        const events = await eventuallyIn(world, async () => {
          const found = await world.events();
          return found.length >= 3 && found;
        });
        expect(events).toHaveLength(3);
      });

      test("a refused commit is not written, and the next one is", async () => {
        const one = await world.open("one");
        const leadership = await lead(one);
        const fault = await world.refuseNextCommit();
        await expect(leadership.commit(batch({ a: 1 }))).rejects.toMatchObject({
          code: "LEDGER_UNAVAILABLE",
        });
        await fault.healed();
        expect(await contents(one.ledger)).toEqual({});
        await leadership.commit(batch({ a: 2 }));
        expect(await contents(one.ledger)).toEqual({ a: 2 });
      });

      test("a store that is gone for a moment delays a commit and loses nothing", async () => {
        const one = await world.open("one");
        const leadership = await lead(one);
        await leadership.commit(batch({ a: 1 }));
        await world.stop();
        const committing = leadership.commit(batch({ b: 2 }));
        await pass(300);
        await world.start();
        await committing;
        await leadership.commit(batch({ c: 3 }));
        expect(await contents(one.ledger)).toEqual({ a: 1, b: 2, c: 3 });
      });

      test("a store that stays away is reported, and nothing more is written before the state is loaded anew", async () => {
        const one = await world.open("one");
        const leadership = await lead(one);
        await leadership.commit(batch({ a: 1 }));
        await world.stop();
        await expect(leadership.commit(batch({ a: 2 }))).rejects.toMatchObject({
          code: "LEDGER_UNAVAILABLE",
          retry: "later",
        });
        await expect(one.ledger.get("a")).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
        await expect(one.ledger.readAll()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
        await expect(leadership.renew()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
        await world.start();
        await eventuallyIn(world, () =>
          one.ledger.get("a").then(
            () => true,
            () => false,
          ),
        );
        await expect(leadership.commit(batch({ a: 3 }))).rejects.toMatchObject({
          code: "LEDGER_UNAVAILABLE",
        });
        expect(await contents(one.ledger)).toEqual({ a: 1 });
        await leadership.commit(batch({ a: 4 }));
        expect(await contents(one.ledger)).toEqual({ a: 4 });
      }, 120_000);

      test("a full store refuses batches, but not renewals, not removals, and not the next leader", async () => {
        const one = await world.open("one");
        await (await lead(one)).commit(batch({ small: 1 }));
        await world.leaveRoom(600_000);
        const leadership = await lead(one);
        const filling = async () => {
          for (let n = 0; n < 1_000; n++) {
            await leadership.commit(batch({ [`big.${n}`]: "x".repeat(20_000) }));
            if (n % 5 === 0) await renew(leadership);
          }
        };
        await expect(filling()).rejects.toMatchObject({ code: "LEDGER_FULL", retry: "later" });
        const full = Object.keys(await contents(one.ledger));
        // Larger: events that the audit stream has taken over meanwhile give a little room back.
        await expect(leadership.commit(batch({ more: "x".repeat(60_000) }))).rejects.toMatchObject({
          code: "LEDGER_FULL",
        });
        for (let count = 0; count < 20; count++) await renew(leadership);
        expect(Object.keys(await contents(one.ledger))).toEqual(full);
        const next = await lead(one);
        await next.commit(
          batch(
            {},
            full.filter((key) => key.startsWith("big.")),
          ),
        );
        await next.commit(batch({ more: "x".repeat(20_000) }));
        expect(Object.keys(await contents(one.ledger))).toEqual(["more", "small"]);
      });
    });

    describe("reading and watching", () => {
      test("an agent sees desired states as they are written, deletions too, in growing revisions, and nothing else", async () => {
        const one = await world.open("one");
        const reader = await world.reader("agent");
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
        await eventuallyIn(world, () => seen.length >= 3 && all.length >= 5);
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
        await world.open("one");
        const reader = await world.reader("agent");
        expect(await reader.get("desired.instance.none")).toBeUndefined();
      });

      test("what an agent missed while it was cut off it gets afterwards", async () => {
        const one = await world.open("one");
        const reader = await world.reader("agent");
        const leadership = await lead(one);
        await leadership.commit(batch({ "desired.instance.i1": 1 }));
        await world.cutOff("agent");
        await expect(reader.get("desired.instance.i1")).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
        await leadership.commit(batch({ "desired.instance.i1": 2 }));
        await world.heal("agent");
        const read = await eventuallyIn(world, () =>
          reader.get("desired.instance.i1").catch(() => undefined),
        );
        expect(read).toMatchObject({ value: 2 });
      });

      test("everything is read, also where there is more than one answer holds", async () => {
        const one = await world.open("one");
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
  });
}
