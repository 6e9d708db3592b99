import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RollcallError } from "../../src/base/errors.js";
import type {
  Bus,
  Clock,
  Leadership,
  LeaseHeld,
  Ledger,
  LedgerBatch,
  LedgerEntry,
  LedgerReader,
} from "../../src/base/ports.js";
import { batchMessagesMax } from "../../src/base/ports.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { verifyAudit } from "../../src/ledger/verify-audit.js";

/** One process with a connection and a ledger of its own. */
export interface LedgerProcess {
  readonly ledger: Ledger;
  readonly bus: Bus;
}

/** The same suite runs over every ledger. */
export interface LedgerWorld {
  readonly fleet: string;
  readonly clock: Clock;
  open(name: string): Promise<LedgerProcess>;
  /** With an agent's rights. */
  reader(name: string): Promise<LedgerReader & { readonly bus: Bus }>;
  /** The audit events, oldest first. */
  events(): Promise<AuditEvent[]>;
  cutOff(name: string): Promise<void>;
  heal(name: string): Promise<void>;
  /** The store is gone for everybody. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** The next commit of a process is stored, and the answer to it lost. */
  loseNextAnswer(name: string): Promise<{ healed(): Promise<void> }>;
  /** The next commit is refused, for another reason than those with an error code of their own. */
  refuseNextCommit(): Promise<{ healed(): Promise<void> }>;
  /** Leaves room for so many bytes more. */
  leaveRoom(bytes: number): Promise<void>;
  end(): Promise<void>;
}

const leaseMs = 2_000;

/** Who and why: of no interest to a ledger. */
const anOrigin = { actor: "user:alice", cause: "request:k1" } as const;

export function event(type = "deployment.created", data: Record<string, unknown> = {}) {
  return { kind: "deployment", id: "d1", type, data, ...anOrigin } as const;
}

export function batch(puts: Record<string, unknown>, deletes: string[] = []): LedgerBatch {
  return { events: [event()], puts: Object.entries(puts).map(([key, value]) => ({ key, value })), deletes };
}

export function isLeadership(taken: Leadership | LeaseHeld): taken is Leadership {
  return "commit" in taken;
}

export function ledgerSuite(name: string, openWorld: () => Promise<LedgerWorld>): void {
  describe(name, () => {
    let world: LedgerWorld;
    beforeEach(async () => {
      world = await openWorld();
    });
    afterEach(() => world.end());

    const pass = (ms: number) => new Promise<void>((resolve) => world.clock.setTimer(ms, resolve));

    /** Waits until `check` holds, in the time of the world. */
    async function eventually<T>(
      check: () => Promise<T | undefined | false> | T | undefined | false,
    ): Promise<T> {
      const untilMs = world.clock.monotonicMs() + 30_000;
      for (;;) {
        const value = await check();
        if (value !== undefined && value !== false) return value;
        if (world.clock.monotonicMs() > untilMs) throw new Error("not so within 30 s");
        await pass(10);
      }
    }

    async function lead(process: LedgerProcess, holder = "one"): Promise<Leadership> {
      const taken = await process.ledger.acquire({ holder, leaseMs });
      if (!isLeadership(taken)) throw new Error(`${taken.heldBy} leads`);
      return taken;
    }

    /** As a leader does: a renewal that a busy machine did not answer in time is asked for again. */
    async function renew(leadership: Leadership): Promise<void> {
      await eventually(() =>
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
        const next = await eventually(async () => {
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
        const second = await eventually(async () => {
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
        const second = await eventually(async () => {
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
        const events = await eventually(async () => {
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
        await eventually(() =>
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
        await eventually(() => seen.length >= 3 && all.length >= 5);
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
        const read = await eventually(() => reader.get("desired.instance.i1").catch(() => undefined));
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

    describe("the audit log", () => {
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
        const events = await eventually(async () => {
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
        await eventually(() => live.length >= 4);
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
        const events = await eventually(async () => {
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
        const [a, b, c] = await eventually(async () => {
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
        await eventually(async () => (await log.end()) === 1_500);
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
        await eventually(() => seen.length >= 3);
        await world.cutOff("two");
        for (let n = 0; n < 3; n++) await leadership.commit(batch({ n }));
        await world.heal("two");
        await eventually(() => seen.length >= 6);
        await world.stop();
        await world.start();
        refuses = 1;
        leadership = await eventually(async () => {
          const taken = await one.ledger.acquire({ holder: "one", leaseMs }).catch(() => undefined);
          return taken !== undefined && isLeadership(taken) && taken;
        });
        await leadership.commit(batch({ n: 9 }));
        await eventually(() => seen.length >= 7);
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
        await expect(
          verifyAudit(log, further({ sequence: 5, hash: "h" }), world.clock),
        ).rejects.toMatchObject({
          code: "AUDIT_BROKEN",
          message: expect.stringContaining(
            `it ends with ${ledgerId}-3, but the ledger has written events up to ${ledgerId}-5`,
          ),
        });
        await expect(
          verifyAudit(log, further({ sequence: 2, hash: "h" }), world.clock),
        ).rejects.toMatchObject({ code: "AUDIT_BROKEN" });
      });

      test("many events are kept once each, also after the ledger has tidied them up", async () => {
        const one = await world.open("one");
        const leadership = await lead(one);
        const events = Array.from({ length: 300 }, (_, n) =>
          event("instance.told", { n }),
        ) as unknown as LedgerBatch["events"];
        for (let count = 0; count < 3; count++) await leadership.commit({ events, puts: [], deletes: [] });
        await leadership.commit(batch({ a: 1 }));
        const found = await eventually(async () => {
          const all = await world.events();
          return all.length >= 901 && all;
        });
        expect(found.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 901 }, (_, n) => n + 1));
        const verify = chainVerifier();
        expect(found.map(verify).filter((problem) => problem !== undefined)).toEqual([]);
      });
    });
  });
}
