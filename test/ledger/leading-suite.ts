import { describe, expect, test } from "vitest";
import type { Leadership, LeaseHeld } from "../../src/base/ports.js";
import {
  batch,
  contents,
  eventuallyIn,
  isLeadership,
  type LedgerWorld,
  lead,
  leaseMs,
  pass,
  renew,
} from "./ledger-world.js";

/** Who leads, for how long, and by which clock. */
export function leadingSuite(world: () => LedgerWorld): void {
  describe("leading", () => {
    test("one leads, the other is told who and since when, and each new leader has a greater epoch", async () => {
      const [one, two] = [await world().open("one"), await world().open("two")];
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
      const ledgers = await Promise.all(["one", "two", "three"].map((name) => world().open(name)));
      const ids = new Set(ledgers.map(({ ledger }) => ledger.ledgerId));
      expect(ids.size).toBe(1);
      expect([...ids][0]).toMatch(/^m\d{13}-\w{22}$/);
    });

    test("of many who want to lead at the same time one does", async () => {
      const processes = await Promise.all(
        ["a", "b", "c", "d"].map(async (name) => [name, await world().open(name)] as const),
      );
      const taken = await Promise.all(
        processes.map(([holder, { ledger }]) => ledger.acquire({ holder, leaseMs })),
      );
      expect(taken.filter(isLeadership)).toHaveLength(1);
    });

    test("a renewed lease goes on, and a lease that nobody renews ends", async () => {
      const [one, two] = [await world().open("one"), await world().open("two")];
      const leadership = await lead(one);
      const firstUntilMs = leadership.validUntilMs();
      expect(firstUntilMs).toBeLessThanOrEqual(world().clock.monotonicMs() + leaseMs);
      for (let count = 0; count < 2; count++) {
        await pass(world(), leaseMs * 0.6);
        await renew(world(), leadership);
      }
      expect(leadership.validUntilMs()).toBeGreaterThan(firstUntilMs + leaseMs);
      expect(await two.ledger.acquire({ holder: "two", leaseMs })).toMatchObject({ heldBy: "one" });
      const next = await eventuallyIn(world(), async () => {
        const taken = await two.ledger.acquire({ holder: "two", leaseMs });
        return isLeadership(taken) && taken;
      });
      expect(next.epoch).toBe(2);
      expect(world().clock.monotonicMs()).toBeGreaterThanOrEqual(leadership.validUntilMs());
      await expect(leadership.renew()).rejects.toMatchObject({ code: "DEPOSED", details: { epoch: 2 } });
    });

    test("a lease that is given back is announced, and taken within milliseconds", async () => {
      const [one, two] = [await world().open("one"), await world().open("two")];
      const leadership = await lead(one);
      const next = new Promise<Leadership | LeaseHeld>((resolve, reject) => {
        two.ledger.watch("lease", ({ value }) => {
          if (value === undefined) two.ledger.acquire({ holder: "two", leaseMs }).then(resolve, reject);
        });
      });
      await two.bus.flush();
      const startMs = world().clock.monotonicMs();
      await leadership.resign();
      const taken = await next;
      expect(isLeadership(taken)).toBe(true);
      expect(world().clock.monotonicMs() - startMs).toBeLessThan(leaseMs / 2);
      await expect(leadership.commit(batch({}))).rejects.toMatchObject({ code: "DEPOSED" });
      await leadership.resign();
      expect(await one.ledger.lease()).toMatchObject({ heldBy: "two" });
    });

    test("a holder takes the lease from itself at once, and the former leadership can write no more", async () => {
      const one = await world().open("one");
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
      const [one, two] = [await world().open("one"), await world().open("two")];
      const first = await lead(one);
      await first.commit(batch({ a: 1 }));
      const written = (await one.ledger.get("a"))?.writtenAtMs ?? 0;
      expect(Math.abs(first.ledgerNowMs() - written)).toBeLessThan(5_000);
      await first.resign();
      const second = await lead(two, "two");
      expect(second.ledgerNowMs()).toBeGreaterThanOrEqual(written - 1);
    });
  });
}
