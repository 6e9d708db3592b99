import { describe, expect, test } from "vitest";
import { batch, contents, eventuallyIn, type LedgerWorld, lead, pass, renew } from "./ledger-world.js";

/** Lost answers, stores that are gone, full ones. */
export function troubleSuite(world: () => LedgerWorld): void {
  describe("when things go wrong", () => {
    test("a commit whose answer is lost is written once, and its revisions are known", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      await leadership.commit(batch({ a: 0 }));
      const fault = await world().loseNextAnswer("one");
      const committing = leadership.commit(batch({ a: 1, b: 1 }));
      await fault.healed();
      const { revisions } = await committing;
      const read = new Map((await one.ledger.readAll()).map((entry) => [entry.key, entry.revision]));
      expect(revisions.get("a")).toBe(read.get("a"));
      expect(revisions.get("b")).toBe(read.get("b"));
      await leadership.commit(batch({ a: 2 }));
      expect(await contents(one.ledger)).toEqual({ a: 2, b: 1 });
      const events = await eventuallyIn(world(), async () => {
        const found = await world().events();
        return found.length >= 3 && found;
      });
      expect(events).toHaveLength(3);
    });

    test("a refused commit is not written, and the next one is", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      const fault = await world().refuseNextCommit();
      await expect(leadership.commit(batch({ a: 1 }))).rejects.toMatchObject({
        code: "LEDGER_UNAVAILABLE",
      });
      await fault.healed();
      expect(await contents(one.ledger)).toEqual({});
      await leadership.commit(batch({ a: 2 }));
      expect(await contents(one.ledger)).toEqual({ a: 2 });
    });

    test("a store that is gone for a moment delays a commit and loses nothing", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      await leadership.commit(batch({ a: 1 }));
      await world().stop();
      const committing = leadership.commit(batch({ b: 2 }));
      await pass(world(), 300);
      await world().start();
      await committing;
      await leadership.commit(batch({ c: 3 }));
      expect(await contents(one.ledger)).toEqual({ a: 1, b: 2, c: 3 });
    });

    test("a store that stays away is reported, and nothing more is written before the state is loaded anew", async () => {
      const one = await world().open("one");
      const leadership = await lead(one);
      await leadership.commit(batch({ a: 1 }));
      await world().stop();
      await expect(leadership.commit(batch({ a: 2 }))).rejects.toMatchObject({
        code: "LEDGER_UNAVAILABLE",
        retry: "later",
      });
      await expect(one.ledger.get("a")).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      await expect(one.ledger.readAll()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      await expect(leadership.renew()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      await world().start();
      await eventuallyIn(world(), () =>
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
      const one = await world().open("one");
      await (await lead(one)).commit(batch({ small: 1 }));
      await world().leaveRoom(600_000);
      const leadership = await lead(one);
      const filling = async () => {
        for (let n = 0; n < 1_000; n++) {
          await leadership.commit(batch({ [`big.${n}`]: "x".repeat(20_000) }));
          if (n % 5 === 0) await renew(world(), leadership);
        }
      };
      await expect(filling()).rejects.toMatchObject({ code: "LEDGER_FULL", retry: "later" });
      const full = Object.keys(await contents(one.ledger));
      // Larger: events that the audit stream has taken over meanwhile give a little room back.
      await expect(leadership.commit(batch({ more: "x".repeat(60_000) }))).rejects.toMatchObject({
        code: "LEDGER_FULL",
      });
      for (let count = 0; count < 20; count++) await renew(world(), leadership);
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
}
