import { expect, test } from "vitest";
import type { LedgerEntry } from "../../src/base/ports.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { batch } from "./ledger-world.js";
import { fleet, virtualWorld } from "./virtual-world.js";

const key = "desired.instance.i1";

test("a server that always syncs loses nothing when it is killed but the answers that were on their way", async () => {
  const { clock, store, during, open, lead, read } = virtualWorld({ latencyMs: 10 });
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  await during(leadership.commit(batch({ a: 1 })));
  const committing = leadership.commit(batch({ a: 2 }));
  await clock.advance(15);
  const killed = store.crash({ reconnectMs: () => 300 });
  await clock.advance(2_000);
  killed.unsubscribe();
  await during(committing);
  expect(await read(ledger, "a")).toBe(2);
  await during(leadership.commit(batch({ a: 3 })));
  expect(store.events(fleet).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(() => store.crash({ loseMs: 1 })).toThrow("synced");
});

test("a server that syncs now and then forgets what it acknowledged last, events and revisions too, and goes on from there", async () => {
  const { clock, store, during, open, lead, read } = virtualWorld({ syncAlways: false });
  const forgotten: number[] = [];
  store.observe({ stored: () => undefined, forgot: (_, revision) => void forgotten.push(revision) });
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  const kept = await during(leadership.commit(batch({ a: 1, b: 1 })));
  await clock.advance(1_000);
  await during(leadership.commit(batch({ a: 2 }, ["b"])));
  await during(leadership.commit(batch({ c: 1 })));
  const usedBytes = store.used(fleet);
  const killed = store.crash({ loseMs: 500 });
  await clock.advance(100);
  killed.unsubscribe();
  await clock.advance(100);
  const last = Math.max(...kept.revisions.values());
  expect(forgotten).toEqual([last]);
  expect(store.used(fleet)).toBeLessThan(usedBytes);
  expect(store.events(fleet).map(({ sequence }) => sequence)).toEqual([1]);
  expect(await read(ledger, "a")).toBe(1);
  expect(await read(ledger, "b")).toBe(1);
  expect(await read(ledger, "c")).toBeUndefined();
  // The leader knows nothing of it: its chain goes on where the server does not stand.
  await expect(during(leadership.commit(batch({ a: 3 })))).rejects.toMatchObject({
    code: "LEDGER_UNAVAILABLE",
  });
  await during(ledger.readAll());
  const { revisions } = await during(leadership.commit(batch({ a: 4 })));
  expect(revisions.get("a")).toBe(last + 2);
  const events = store.events(fleet);
  expect(events.map(({ sequence }) => sequence)).toEqual([1, 2]);
  expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
});

test("a lease that was not on disk is free again, and one that ended meanwhile is", async () => {
  const { clock, store, during, open, lead } = virtualWorld({ syncAlways: false });
  const one = await open("one");
  await clock.advance(5_000);
  await lead(one, "one", 60_000);
  store.crash({ loseMs: 1_000 }).unsubscribe();
  await clock.advance(10);
  expect(await during(one.lease())).toBeUndefined();
  await lead(one, "one", 2_000);
  await clock.advance(1_900);
  store.crash({ loseMs: 1_000 }).unsubscribe();
  await clock.advance(10);
  expect(await during(one.lease())).toMatchObject({ heldBy: "one" });
  await clock.advance(200);
  expect(await during(one.lease())).toBeUndefined();
});

test("who follows a server that has forgotten something is told again what there is", async () => {
  const { clock, store, during, open, lead } = virtualWorld({ syncAlways: false });
  const [one, two] = [await open("one"), await open("two")];
  const leadership = await lead(one, "one");
  const told = new Map<string, unknown>();
  let steps = 0;
  two.follow({
    began: () => told.clear(),
    entry: (entry) => void told.set(entry.key, entry.value),
    inStep: () => steps++,
    failed: () => undefined,
  });
  await clock.advance(1_000);
  await during(leadership.commit(batch({ "deployment.d1": 1 })));
  await clock.advance(100);
  expect(told.get("deployment.d1")).toBe(1);
  const killed = store.crash({ loseMs: 500, reconnectMs: () => 250 });
  await clock.advance(1_000);
  killed.unsubscribe();
  steps = 0;
  await clock.advance(2_000);
  expect(steps).toBeGreaterThan(0);
  expect(told.has("deployment.d1")).toBe(false);
  expect(told.has("epoch")).toBe(true);
});

test("a replica that lags answers what was, never more than the lag ago; who writes and who reads everything is never behind", async () => {
  const { clock, hub, store, during, open, lead, read } = virtualWorld();
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  const agent = hub.connect("agent");
  const reader = openLedgerReader(agent, fleet);
  const random = createSeededRandom(7);
  const pushed: number[] = [];
  reader.watch(key, ({ value }) => pushed.push(Number(value)));
  const lagging = store.lag(() => random.unit() * 1_000);
  const got: number[] = [];
  for (let n = 1; n <= 30; n++) {
    await during(leadership.commit(batch({ [key]: n })));
    await clock.advance(200);
    const entry: LedgerEntry | undefined = await during(reader.get(key));
    if (entry !== undefined) got.push(n - Number(entry.value));
    if (n % 10 === 0) expect(await read(ledger, key)).toBe(n);
  }
  expect(pushed).toHaveLength(30);
  expect(Math.max(...got)).toBeGreaterThan(2);
  expect(Math.max(...got)).toBeLessThanOrEqual(5);
  expect(Math.min(...got)).toBe(0);
  lagging.unsubscribe();
  expect((await during(reader.get(key)))?.value).toBe(30);
});

test("who begins to follow at a replica that lags is in step in the end, and missed nothing", async () => {
  const { clock, store, during, open, lead } = virtualWorld();
  const leadership = await lead(await open("one"), "one");
  const two = await open("two");
  store.lag(() => 800);
  await during(leadership.commit(batch({ "deployment.d1": 1, "deployment.d2": 1 })));
  await during(leadership.commit(batch({ "deployment.d1": 2 }, ["deployment.d2"])));
  let told = new Map<string, unknown>();
  const told1: unknown[] = [];
  two.follow({
    began: () => {
      told = new Map();
    },
    entry: ({ key: of, value }) => void told.set(of, value),
    inStep: () => told1.push(told.get("deployment.d1")),
    failed: () => undefined,
  });
  await clock.advance(10_000);
  expect(told1[0]).toBeUndefined();
  expect(told1.at(-1)).toBe(2);
  expect(told.get("deployment.d2")).toBeUndefined();
});

test("a write that comes after its sender gave up is stored then, unless somebody was quicker", async () => {
  const { clock, hub, during, open, lead, read } = virtualWorld();
  const ledger = await open("one");
  const leadership = await lead(ledger, "one");
  await during(leadership.commit(batch({ a: 1 })));
  const late = hub.delay(40_000, ({ from, to }) => from === "one" && to === "ledger-store");
  await expect(during(leadership.commit(batch({ a: 2 })))).rejects.toMatchObject({
    code: "LEDGER_UNAVAILABLE",
  });
  late.unsubscribe();
  expect(await read(ledger, "a")).toBe(1);
  await clock.advance(40_000);
  expect(await read(ledger, "a")).toBe(2);
});
