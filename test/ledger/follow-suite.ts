import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Leadership, Ledger, LedgerEntry } from "../../src/base/ports.js";
import { keys } from "../../src/contracts/keys.js";
import { FollowedCopy } from "./followed-copy.js";
import { batch, isLeadership, type LedgerWorld } from "./ledger-world.js";

/** Following a ledger, over every ledger. */
export function followSuite(name: string, openWorld: () => Promise<LedgerWorld>): void {
  describe(name, () => {
    let world: LedgerWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(() => world.end());

    const pass = (ms: number) => new Promise<void>((resolve) => world.clock.setTimer(ms, resolve));

    async function until(holds: () => boolean): Promise<void> {
      const untilMs = world.clock.monotonicMs() + 30_000;
      while (!holds()) {
        if (world.clock.monotonicMs() > untilMs) throw new Error("not so within 30 s");
        await pass(10);
      }
    }

    async function lead(ledger: Ledger, holder = "one"): Promise<Leadership> {
      const taken = await ledger.acquire({ holder, leaseMs: 60_000 });
      if (!isLeadership(taken)) throw new Error(`${taken.heldBy} leads`);
      return taken;
    }

    async function followed(process: string) {
      const { ledger, bus } = await world.open(process);
      const copy = new FollowedCopy();
      return { ledger, bus, copy, following: ledger.follow(copy) };
    }

    test("a follower is told all that there is, but for events and desired states, and then that it is in step", async () => {
      const { ledger } = await world.open("writer");
      const leader = await lead(ledger);
      await leader.commit(batch({ "release.v1": 1, "instance.web-1": "a", "desired.instance.web-1": "d" }));
      await leader.commit(batch({ "instance.web-1": "b", "release.v2": 2 }, ["release.v1"]));
      const { copy } = await followed("follower");
      await until(() => copy.isInStep);
      expect([...copy.entries.keys()].sort()).toEqual(
        [keys.epoch, keys.eventHead, keys.lease, keys.ledger, "instance.web-1", "release.v2"].sort(),
      );
      expect(copy.value("instance.web-1")).toBe("b");
      expect(copy.ordered).toBe(true);
      const all = (await ledger.readAll()).filter(({ key }) => !key.startsWith("desired."));
      expect([...copy.entries.values()].sort(byKey)).toEqual(all.sort(byKey));
    });

    test("a follower of an empty ledger is in step at once", async () => {
      const { copy, ledger } = await followed("follower");
      await until(() => copy.isInStep);
      expect(copy.value(keys.ledger)).toMatchObject({ ledgerId: ledger.ledgerId });
    });

    test("a change comes at once, its batch's end last; a deleted key comes without a value", async () => {
      const { copy } = await followed("follower");
      await until(() => copy.isInStep);
      const leader = await lead((await world.open("writer")).ledger);
      const { revisions } = await leader.commit(batch({ "instance.web-1": "a", "release.v1": 1 }));
      await until(() => copy.revision === revisions.get(keys.eventHead));
      expect([copy.value("instance.web-1"), copy.value("release.v1")]).toEqual(["a", 1]);
      expect(copy.entries.get("release.v1")?.revision).toBe(revisions.get("release.v1"));
      await leader.commit(batch({}, ["release.v1"]));
      await until(() => !copy.entries.has("release.v1"));
      expect(copy).toMatchObject({ begun: 1, isInStep: true, ordered: true });
    });

    test("who is in step hears so again and again while nothing happens", async () => {
      const { copy } = await followed("follower");
      await until(() => copy.isInStep);
      const before = copy.inSteps;
      await until(() => copy.inSteps >= before + 2);
      expect(copy.begun).toBe(1);
    });

    test("a lease that is given back, or ends, is told", async () => {
      const { copy } = await followed("follower");
      const first = await lead((await world.open("writer")).ledger);
      await until(() => copy.entries.has(keys.lease));
      await first.resign();
      await until(() => !copy.entries.has(keys.lease));
      await (await world.open("other")).ledger.acquire({ holder: "two", leaseMs: 1_000 });
      await until(() => copy.entries.has(keys.lease));
      await until(() => !copy.entries.has(keys.lease));
    });

    test("who was cut off is told that it cannot be followed, and begins anew with what changed meanwhile", async () => {
      const leader = await lead((await world.open("writer")).ledger);
      await leader.commit(batch({ "instance.web-1": "a", "instance.web-2": "a" }));
      const { copy } = await followed("follower");
      await until(() => copy.isInStep);
      await world.cutOff("follower");
      await until(() => copy.problems.length > 0);
      expect(copy.problems[0]).toMatchObject({ code: "LEDGER_UNAVAILABLE" });
      await leader.commit(batch({ "instance.web-1": "b" }, ["instance.web-2"]));
      await world.heal("follower");
      await until(() => copy.isInStep);
      expect(copy.begun).toBeGreaterThanOrEqual(2);
      expect([copy.value("instance.web-1"), copy.entries.has("instance.web-2")]).toEqual(["b", false]);
    });

    test("while the store is gone nobody is in step, and all are again when it is back", async () => {
      const { copy, ledger } = await followed("follower");
      await until(() => copy.isInStep);
      await world.stop();
      await until(() => !copy.isInStep);
      await world.start();
      await until(() => copy.isInStep);
      const leader = await lead(ledger);
      await leader.commit(batch({ "instance.web-1": "a" }));
      await until(() => copy.value("instance.web-1") === "a");
    });

    test("many changes, while a follower begins, reach it whole and in order", async () => {
      const leader = await lead((await world.open("writer")).ledger);
      const { copy } = await followed("follower");
      const last = 40;
      for (let n = 1; n <= last; n++)
        await leader.commit(batch({ "instance.web-1": n, [`instance.only-${n}`]: n }));
      await until(() => copy.isInStep && copy.value("instance.web-1") === last);
      const only = [...copy.entries.keys()].filter((key) => key.startsWith("instance.only-"));
      expect(only).toHaveLength(last);
      expect(copy).toMatchObject({ ordered: true, begun: 1 });
    });

    test("who follows no more is told nothing more", async () => {
      const { copy, following } = await followed("follower");
      await until(() => copy.isInStep);
      following.unsubscribe();
      const told = copy.inSteps;
      const leader = await lead((await world.open("writer")).ledger);
      await leader.commit(batch({ "instance.web-1": "a" }));
      await pass(2_500);
      expect([copy.inSteps, copy.entries.has("instance.web-1")]).toEqual([told, false]);
    });
  });
}

function byKey(one: LedgerEntry, other: LedgerEntry): number {
  return one.key < other.key ? -1 : 1;
}
