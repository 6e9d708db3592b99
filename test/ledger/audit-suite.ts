import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LedgerBatch, LedgerReader } from "../../src/base/ports.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import { type AuditEvent, chainVerifier } from "../../src/ledger/event-chain.js";
import { verifyAudit } from "../../src/ledger/verify-audit.js";
import {
  anOrigin,
  batch,
  event,
  eventuallyIn,
  isLeadership,
  type LedgerWorld,
  lead,
  leaseMs,
} from "./ledger-world.js";

/** The audit log, over every ledger. */
export function auditSuite(name: string, openWorld: () => Promise<LedgerWorld>): void {
  describe(name, () => {
    let world: LedgerWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(() => world.end());

    test("events arrive in order, as CloudEvents, over the subjects and in the stream, with a chain that verifies", async () => {
      const [one, two] = [await world.open("one"), await world.open("two")];
      const live: string[] = [];
      two.bus.subscribe(`rollcall.v1.${world.fleet}.event.deployment.*`, (message) => {
        live.push(
          `${message.subject.split(".").at(-1)} ${message.header("ce-type")} ${message.header("ce-sequence")}`,
        );
      });
      await two.bus.flush();
      const first = await lead(one);
      await first.commit({
        events: [event("deployment.created", { batch: 2 }), event("deployment.started")],
        puts: [],
        deletes: [],
      });
      await first.commit({
        events: [
          { kind: "deployment", id: "d2", type: "deployment.created", data: { text: 'é %"' }, ...anOrigin },
        ],
        puts: [],
        deletes: [],
      });
      await first.resign();
      const second = await lead(two, "two");
      await second.commit(batch({ a: 1 }));
      const events = await eventuallyIn(world, async () => {
        const found = await world.events();
        return found.length >= 4 && found;
      });
      expect(events.map(({ sequence, epoch, subject, type }) => [sequence, epoch, subject, type])).toEqual([
        [1, 1, "deployment/d1", "dev.rollcall.deployment.created.v1"],
        [2, 1, "deployment/d1", "dev.rollcall.deployment.started.v1"],
        [3, 1, "deployment/d2", "dev.rollcall.deployment.created.v1"],
        [4, 2, "deployment/d1", "dev.rollcall.deployment.created.v1"],
      ]);
      expect(events[0]).toMatchObject({
        source: `/rollcall/${world.fleet}`,
        id: `${one.ledger.ledgerId}-1`,
        body: '{"batch":2}',
      });
      expect(JSON.parse(events[2]?.body ?? "")).toEqual({ text: 'é %"' });
      expect(Math.abs(Date.parse(events[0]?.time ?? "") - second.ledgerNowMs())).toBeLessThan(60_000);
      const verify = chainVerifier();
      expect(events.map(verify)).toEqual([undefined, undefined, undefined, undefined]);
      await eventuallyIn(world, () => live.length >= 4);
      expect(live).toEqual([
        "d1 dev.rollcall.deployment.created.v1 1",
        "d1 dev.rollcall.deployment.started.v1 2",
        "d2 dev.rollcall.deployment.created.v1 3",
        "d1 dev.rollcall.deployment.created.v1 4",
      ]);
    });

    test("an event that was changed, removed, added or moved is found", async () => {
      const one = await world.open("one");
      const leadership = await lead(one);
      for (let n = 0; n < 4; n++) await leadership.commit(batch({ n }));
      const events = await eventuallyIn(world, async () => {
        const found = await world.events();
        return found.length >= 4 && found;
      });
      const [a, b, c, d] = events;
      if (a === undefined || b === undefined || c === undefined || d === undefined)
        throw new Error("four events");
      const problems = (list: AuditEvent[]) =>
        list.map(chainVerifier()).filter((problem) => problem !== undefined);
      expect(problems([a, b, c, d])).toEqual([]);
      expect(problems([b, c, d])).toEqual([]);
      expect(problems([a, { ...b, body: '{"n":9}' }, c, d])).toHaveLength(1);
      expect(problems([a, { ...b, time: d.time, type: "x" }, c, d])).toHaveLength(1);
      expect(problems([a, c, d])).toHaveLength(1);
      expect(problems([a, b, b, c, d])).toHaveLength(1);
      expect(problems([a, c, b, d]).length).toBeGreaterThan(0);
    });

    test("an actor, a cause or a generation that was changed, added or taken away is found", async () => {
      const one = await world.open("one");
      const leadership = await lead(one);
      for (let n = 0; n < 3; n++) {
        const told = { ...event(), ...(n === 1 ? { generation: 7 } : {}) };
        await leadership.commit({ events: [told], puts: [], deletes: [] });
      }
      const [a, b, c] = await eventuallyIn(world, async () => {
        const found = await world.events();
        return found.length >= 3 && found;
      });
      if (a === undefined || b === undefined || c === undefined) throw new Error("three events");
      expect(b).toMatchObject({ ...anOrigin, generation: 7 });
      expect(a.generation).toBeUndefined();
      const { actor: _, ...nobodys } = b;
      const { generation: __, ...unnumbered } = b;
      for (const changed of [
        { ...b, actor: "user:bob" },
        { ...b, cause: "request:k2" },
        { ...b, generation: 8 },
        nobodys,
        unnumbered,
      ])
        expect([a, changed, c].map(chainVerifier()).filter(Boolean)).toHaveLength(1);
      expect([{ ...a, generation: 1 }, b, c].map(chainVerifier()).filter(Boolean)).toHaveLength(1);
    });

    test("is read a page at a time from its end, all of it or what is about one object", async () => {
      const one = await world.open("one");
      const leadership = await lead(one);
      const about = (n: number) => ({
        ...event("deployment.told", { n }),
        id: n % 100 === 0 ? "d2" : "d1",
      });
      for (let from = 0; from < 1_500; from += 500) {
        const events = Array.from({ length: 500 }, (_, at) => about(from + at)) as unknown;
        await leadership.commit({ events: events as LedgerBatch["events"], puts: [], deletes: [] });
      }
      const { bus } = await world.open("two");
      const log = new AuditLog({ fleet: world.fleet, bus, clock: world.clock });
      await eventuallyIn(world, async () => (await log.end()) === 1_500);
      const numbersIn = (page: Awaited<ReturnType<AuditLog["page"]>>) =>
        page.entries.map(({ event: { body } }) => JSON.parse(body).n);
      const newest = await log.page({ limit: 3 });
      expect(numbersIn(newest)).toEqual([1_497, 1_498, 1_499]);
      expect(numbersIn(await log.page({ limit: 2, before: newest.before }))).toEqual([1_495, 1_496]);
      const ofOne = { kind: "deployment", id: "d2" };
      const few = await log.page({ ...ofOne, limit: 4 });
      expect(numbersIn(few)).toEqual([1_100, 1_200, 1_300, 1_400]);
      const rest = await log.page({ ...ofOne, limit: 100, before: few.before });
      expect(numbersIn(rest)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
      expect(rest.before).toBeNull();
      const odd = await log.page({ accepts: ({ body }) => JSON.parse(body).n % 700 === 1, limit: 9 });
      expect(numbersIn(odd)).toEqual([1, 701, 1_401]);
      const [first] = newest.entries;
      const later = Date.parse(first?.event.time ?? "") + 60_000;
      expect(await log.page({ limit: 9, sinceMs: later })).toEqual({ entries: [], before: null });
      expect(await log.page({ limit: 9, accepts: () => false, scanMax: 300 })).toMatchObject({
        entries: [],
      });
      expect((await log.page({ limit: 9, accepts: () => false, scanMax: 300 })).before).toBeGreaterThan(1);
    });

    test("is followed without loss or repeat while the connection is cut and the store restarts", async () => {
      const [one, two] = [await world.open("one"), await world.open("two")];
      const log = new AuditLog({ fleet: world.fleet, bus: two.bus, clock: world.clock });
      const seen: number[] = [];
      let refuses = 0;
      const following = log.follow(
        0,
        {},
        {
          handle: (entries) => {
            if (refuses-- > 0) throw new Error("whoever takes them cannot");
            seen.push(...entries.map(({ event: { sequence } }) => sequence));
          },
          onProblem: () => undefined,
        },
      );
      let leadership = await lead(one);
      for (let n = 0; n < 3; n++) await leadership.commit(batch({ n }));
      await eventuallyIn(world, () => seen.length >= 3);
      await world.cutOff("two");
      for (let n = 0; n < 3; n++) await leadership.commit(batch({ n }));
      await world.heal("two");
      await eventuallyIn(world, () => seen.length >= 6);
      await world.stop();
      await world.start();
      refuses = 1;
      leadership = await eventuallyIn(world, async () => {
        const taken = await one.ledger.acquire({ holder: "one", leaseMs }).catch(() => undefined);
        return taken !== undefined && isLeadership(taken) && taken;
      });
      await leadership.commit(batch({ n: 9 }));
      await eventuallyIn(world, () => seen.length >= 7);
      following.unsubscribe();
      expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
    });

    test("ends where the ledger says that it ends", async () => {
      const [one, two] = [await world.open("one"), await world.open("two")];
      const log = new AuditLog({ fleet: world.fleet, bus: two.bus, clock: world.clock });
      expect(await verifyAudit(log, one.ledger, world.clock)).toMatchObject({ events: 0, end: "none" });
      const leadership = await lead(one);
      for (let n = 0; n < 3; n++) await leadership.commit(batch({ n }));
      const verdict = await verifyAudit(log, one.ledger, world.clock);
      expect(verdict).toMatchObject({ events: 3, ledgers: 1, end: "agrees", first: { sequence: 1 } });
      const { ledgerId } = one.ledger;
      const further = (head: object): LedgerReader => ({
        watch: (key, handle) => one.ledger.watch(key, handle),
        async get(key) {
          const entry = await one.ledger.get(key);
          return key === "event-head" && entry !== undefined ? { ...entry, value: head } : entry;
        },
      });
      let waits = 0;
      const onWait = () => void waits++;
      const longer = further({ sequence: 5, hash: "h" });
      await expect(verifyAudit(log, longer, world.clock, { waitMs: 2_000, onWait })).rejects.toMatchObject({
        code: "AUDIT_BROKEN",
        message: expect.stringContaining(
          `it ends with ${ledgerId}-3, but the ledger has written events up to ${ledgerId}-5: the others were cut off, or NATS needs more than 2 s`,
        ),
      });
      await expect(verifyAudit(log, longer, world.clock, { waitMs: 2_500, onWait })).rejects.toThrow();
      expect(waits).toBe(1);
      await expect(verifyAudit(log, further({ sequence: 2, hash: "h" }), world.clock)).rejects.toMatchObject({
        code: "AUDIT_BROKEN",
      });
    });

    test("many events are kept once each, also after the ledger has tidied them up", async () => {
      const one = await world.open("one");
      const leadership = await lead(one);
      const events = Array.from({ length: 300 }, (_, n) =>
        event("instance.told", { n }),
      ) as unknown as LedgerBatch["events"];
      for (let count = 0; count < 3; count++) await leadership.commit({ events, puts: [], deletes: [] });
      await leadership.commit(batch({ a: 1 }));
      const found = await eventuallyIn(world, async () => {
        const all = await world.events();
        return all.length >= 901 && all;
      });
      expect(found.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 901 }, (_, n) => n + 1));
      const verify = chainVerifier();
      expect(found.map(verify).filter((problem) => problem !== undefined)).toEqual([]);
    });
  });
}
