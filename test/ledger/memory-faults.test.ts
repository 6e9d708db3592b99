import fc from "fast-check";
import { expect, test } from "vitest";
import type { Leadership } from "../../src/base/ports.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { batch, isLeadership } from "./ledger-world.js";
import { fleet, virtualWorld as world } from "./virtual-world.js";

test("a commit that arrives long after its sender gave up is noticed, and never overwritten unseen", async () => {
  const { clock, store, during, open, lead, read } = world();
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  await during(leadership.commit(batch({ a: 1 })));
  const arrive = store.holdNextCommit(fleet);
  const committing = leadership.commit(batch({ a: 2 }));
  const gaveUp = expect(committing).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
  await clock.advance(10);
  const gone = store.unavailable();
  await clock.advance(30_000);
  await gaveUp;
  gone.unsubscribe();
  expect(await read(ledger, "a")).toBe(1);
  arrive();
  await expect(during(leadership.commit(batch({ a: 3 })))).rejects.toMatchObject({
    code: "LEDGER_UNAVAILABLE",
  });
  expect(await read(ledger, "a")).toBe(2);
  await during(leadership.commit(batch({ a: 4 })));
  expect(await read(ledger, "a")).toBe(4);
  expect(store.events(fleet).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
});

test("a commit of which every answer is lost is not known to be written, and is found when the state is loaded", async () => {
  const { hub, during, open, lead, read } = world();
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  await during(leadership.commit(batch({ a: 0 })));
  const fault = hub.drop(({ from, to }) => from === "ledger-store" && to === "one");
  await expect(during(leadership.commit(batch({ a: 1 })))).rejects.toMatchObject({
    code: "LEDGER_UNAVAILABLE",
  });
  fault.unsubscribe();
  await expect(during(leadership.commit(batch({ a: 2 })))).rejects.toMatchObject({
    code: "LEDGER_UNAVAILABLE",
  });
  expect(await read(ledger, "a")).toBe(1);
  await during(leadership.commit(batch({ a: 3 })));
  expect(await read(ledger, "a")).toBe(3);
});

test("a leader is deposed in whatever it does", async () => {
  const { store, during, open, lead } = world();
  const leadership = await lead(await open("one"), "one");
  store.depose(fleet);
  const deposed = { code: "DEPOSED", details: { epoch: 2 } };
  await expect(during(leadership.renew())).rejects.toMatchObject(deposed);
  await expect(during(leadership.commit(batch({ a: 1 })))).rejects.toMatchObject(deposed);
  await during(leadership.resign());
});

test("a leadership taken while the answer was lost is had all the same", async () => {
  const { hub, during, open } = world();
  const ledger = await open("one");
  let answers = 0;
  // The first three answers are those to what is read, the fourth is that to the write.
  const fault = hub.drop(({ from, to }) => from === "ledger-store" && to === "one" && ++answers === 4);
  const taken = await during(ledger.acquire({ holder: "one", leaseMs: 60_000 }));
  fault.unsubscribe();
  expect(taken).toMatchObject({ epoch: 1, holder: "one" });
});

test("messages that are lost, doubled and late leave one history: what was acknowledged is there, in order, once", async () => {
  const faults = fc.array(
    fc.record({
      lost: fc.integer({ min: 0, max: 9 }),
      doubled: fc.integer({ min: 0, max: 9 }),
      late: fc.integer({ min: 0, max: 9 }),
    }),
    { minLength: 5, maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(faults, fc.integer(), async (rounds, seed) => {
      const { clock, hub, store, during, open, lead, read } = world();
      const chance = createSeededRandom(seed);
      const ledger = await open("one");
      const leadership = await lead(ledger, "one");
      let known = 0;
      for (const { lost, doubled, late } of rounds) {
        const hit = (of: number) => chance.unit() * 20 < of;
        const ends = [
          hub.drop(() => hit(lost)),
          hub.duplicate(() => hit(doubled)),
          hub.delay(7_000, () => hit(late)),
        ];
        const before = known;
        const outcome = await during(
          leadership.commit(batch({ n: before + 1 })).then(
            () => "written",
            (thrown) => thrown.code,
          ),
        );
        for (const end of ends) end.unsubscribe();
        await clock.advance(30_000);
        const found = (await read(ledger, "n")) ?? 0;
        if (outcome === "written") expect(found).toBe(before + 1);
        else {
          expect(outcome).toBe("LEDGER_UNAVAILABLE");
          expect([before, before + 1]).toContain(found);
        }
        known = Number(found);
      }
      const events = store.events(fleet);
      expect(events).toHaveLength(known);
      expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

test("two who both believe to lead never both write", async () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom("one", "two"), fc.constantFrom("acquire", "commit", "cut", "heal", "pass")),
    {
      minLength: 10,
      maxLength: 60,
    },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (plan) => {
      const { clock, hub, store, during, open } = world();
      const ledgers = new Map([
        ["one", await open("one")],
        ["two", await open("two")],
      ]);
      const leaderships = new Map<string, Leadership>();
      const cut = new Set<string>();
      for (const [name, step] of plan) {
        const ledger = ledgers.get(name);
        if (ledger === undefined) continue;
        if (step === "pass") await clock.advance(1_500);
        if (step === "cut" && !cut.has(name)) {
          hub.disconnect(name);
          cut.add(name);
        }
        if (step === "heal" && cut.delete(name)) hub.reconnect(name);
        if (step === "acquire") {
          const taken = await during(ledger.acquire({ holder: name, leaseMs: 3_000 }).catch(() => undefined));
          if (taken !== undefined && isLeadership(taken)) leaderships.set(name, taken);
        }
        if (step === "commit") {
          const writing = leaderships.get(name)?.commit(batch({ by: name }));
          if (writing !== undefined) await during(writing.catch(() => undefined));
        }
      }
      const events = store.events(fleet);
      const epochs = events.map(({ epoch }) => epoch);
      expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
      expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test("a fault of the next commit is forgotten when that is to be spared", async () => {
  const { store, during, open, lead, read } = world();
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  store.refuseNextCommit(fleet);
  store.spareNextCommit(fleet);
  await during(leadership.commit(batch({ a: 1 })));
  expect(await read(ledger, "a")).toBe(1);
});
