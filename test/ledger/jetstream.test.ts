import { jetstreamManager } from "@nats-io/jetstream";
import { afterEach, describe, expect, test } from "vitest";
import type { Leadership, Ledger, Log } from "../../src/base/ports.js";
import type { NatsBus } from "../../src/bus/nats-bus.js";
import { connectNatsBus } from "../../src/bus/nats-bus.js";
import { storesOf } from "../../src/contracts/keys.js";
import { AuditLog } from "../../src/ledger/audit-log.js";
import type { AuditEvent } from "../../src/ledger/event-chain.js";
import { chainVerifier } from "../../src/ledger/event-chain.js";
import { directGetSubject, openLedgerReader, streamOf } from "../../src/ledger/ledger-reader.js";
import { openNatsLedger } from "../../src/ledger/nats-ledger.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventually } from "../kit/eventually.js";
import { startFaultyProxy } from "../kit/faulty-proxy.js";
import { startNats, withNats } from "../kit/nats.js";
import { quietLog } from "../kit/quiet-log.js";
import type { TestNats } from "../kit/test-nats.js";
import { batch, event, isLeadership } from "./ledger-world.js";

const clock = createRealClock();
const random = createRealRandom();
const small = { keysBytes: 8 * 1_048_576, eventsBytes: 4 * 1_048_576, filesBytes: 2 * 1_048_576 };
let fleets = 0;

const open = (bus: NatsBus, fleet: string, options: { log?: Log; sizes?: typeof small } = {}) =>
  openNatsLedger({
    fleet,
    bus,
    clock,
    random,
    log: quietLog,
    sizes: small,
    commitTimeoutMs: 15_000,
    ...options,
  });

async function lead(ledger: Ledger, holder = "one", leaseMs = 10_000): Promise<Leadership> {
  const taken = await ledger.acquire({ holder, leaseMs });
  if (!isLeadership(taken)) throw new Error(`${taken.heldBy} leads`);
  return taken;
}

async function eventsOf(bus: NatsBus, fleet: string): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const { event } of new AuditLog({ fleet, bus, clock }).read()) events.push(event);
  return events;
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function connect(server: TestNats, url = server.url): Promise<NatsBus> {
  const { user, password } = server.credentials;
  const bus = await connectNatsBus({
    servers: url,
    user,
    pass: password,
    name: "test",
    clock,
    log: quietLog,
  });
  closing.push(() => bus.close());
  return bus;
}

async function world(server: TestNats) {
  const bus = await connect(server);
  const { streams } = await jetstreamManager(bus.connection);
  const fleet = `f${++fleets}`;
  return { bus, fleet, streams, stream: streamOf(fleet), eventStream: storesOf(fleet).eventStream };
}

describe("setting up", () => {
  const nats = withNats();

  test("many processes may open a new ledger at the same time", async () => {
    const { bus, fleet } = await world(nats());
    const buses = [bus, ...(await Promise.all(Array.from({ length: 5 }, () => connect(nats()))))];
    const ledgers = await Promise.all(buses.map((each) => open(each, fleet)));
    expect(new Set(ledgers.map(({ ledgerId }) => ledgerId)).size).toBe(1);
  });

  test("settings that the ledger needs are put right, an administrator's others stay", async () => {
    const { bus, fleet, streams, stream, eventStream } = await world(nats());
    const { ledgerId } = await open(bus, fleet);
    const before = (await streams.info(stream)).config;
    await streams.update(stream, {
      republish: undefined,
      allow_atomic: false,
      max_bytes: 9_000_000,
      max_age: 0,
    });
    await streams.update(eventStream, { max_bytes: 5_000_000 });
    const lines: string[] = [];
    const log = {
      ...quietLog,
      info: (facts: object, line: string) => void lines.push(`${line} ${JSON.stringify(facts)}`),
    };
    expect((await open(bus, fleet, { log })).ledgerId).toBe(ledgerId);
    expect((await streams.info(stream)).config).toEqual({ ...before, max_bytes: 9_000_000 });
    expect((await streams.info(eventStream)).config.max_bytes).toBe(5_000_000);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('["allow_atomic","republish"]');
    await open(bus, fleet, { log });
    expect(lines).toHaveLength(1);
  });

  test("a bucket that was lost is made anew as another ledger, and its events follow those of the first", async () => {
    const { bus, fleet, streams, stream } = await world(nats());
    const ledger = await open(bus, fleet);
    const first = await lead(ledger);
    for (let n = 0; n < 5; n++) await first.commit(batch({ n }));
    await eventually(async () => (await eventsOf(bus, fleet)).length === 5);
    await streams.delete(stream);
    const again = await open(bus, fleet);
    // A server that starts looks for the sources of its streams at once, one that runs only after ten seconds.
    await nats().restart();
    await eventually(() =>
      bus.flush().then(
        () => true,
        () => false,
      ),
    );
    expect(again.ledgerId).not.toBe(ledger.ledgerId);
    expect((await again.readAll()).map(({ key }) => key)).toEqual(["ledger"]);
    await expect(first.commit(batch({ n: 6 }))).rejects.toMatchObject({ code: "DEPOSED" });
    const second = await lead(again, "two");
    const { revisions } = await second.commit(batch({ n: 7 }));
    expect(revisions.get("n")).toBeGreaterThan(5);
    const events = await eventually(async () => {
      const found = await eventsOf(bus, fleet);
      return found.length === 6 && found;
    });
    expect(events.map(chainVerifier())).toEqual(Array(6).fill(undefined));
    expect(await lead(ledger, "two")).toMatchObject({ epoch: 2 });
    expect(ledger.ledgerId).toBe(again.ledgerId);
  });

  test("a ledger of a newer format is left alone, an unreadable one is named", async () => {
    const { bus, fleet, stream } = await world(nats());
    const { ledgerId } = await open(bus, fleet);
    // Answered once it is stored.
    const write = (key: string, body: string) =>
      bus.request(`$KV.${stream.slice(3)}.${key}`, body, { timeoutMs: 10_000 });
    const old = await open(bus, fleet);
    await write("ledger", JSON.stringify({ format: 3, ledgerId }));
    await expect(open(bus, fleet)).rejects.toMatchObject({ code: "LEDGER_NEWER", details: { found: 3 } });
    await expect(old.acquire({ holder: "old", leaseMs: 1_000 })).rejects.toMatchObject({
      code: "LEDGER_NEWER",
    });
    expect(await old.lease()).toBeUndefined();
    await write("ledger", "{");
    await expect(open(bus, fleet)).rejects.toMatchObject({
      code: "LEDGER_CORRUPT",
      details: { key: "ledger" },
    });
    await write("ledger", JSON.stringify({ format: 1, ledgerId }));
    const ledger = await open(bus, fleet);
    await write("lease", JSON.stringify({ holder: 1 }));
    await expect(ledger.acquire({ holder: "one", leaseMs: 1_000 })).rejects.toMatchObject({
      code: "LEDGER_CORRUPT",
    });
    await write("desired.instance.i1", "no json");
    await expect(ledger.get("desired.instance.i1")).rejects.toMatchObject({ code: "LEDGER_CORRUPT" });
    await expect(ledger.readAll()).rejects.toMatchObject({ code: "LEDGER_CORRUPT" });
  });

  test("on a server with little room the stores are smaller, without room there is a clear error", async () => {
    const server = await startNats({ storeBytesMax: 8 * 1_048_576 });
    closing.push(() => server.stop());
    const { bus, fleet, streams, stream } = await world(server);
    const sizes = { keysBytes: 16 * 1_048_576, eventsBytes: 6 * 1_048_576, filesBytes: 6 * 1_048_576 };
    await (await lead(await open(bus, fleet, { sizes }))).commit(batch({ a: 1 }));
    expect((await streams.info(stream)).config.max_bytes).toBe(4 * 1_048_576);
    const huge = { keysBytes: 2 ** 40, eventsBytes: 2 ** 40, filesBytes: 2 ** 40 };
    await expect(open(bus, "other", { sizes: huge })).rejects.toMatchObject({ code: "LEDGER_FULL" });
  });

  test("what a process left that ended while it tried how much room there is takes no room from others", async () => {
    const { bus, fleet, streams, stream } = await world(nats());
    await streams.add({ name: "ROLLCALL_ROOM", subjects: ["ROLLCALL_ROOM"], max_bytes: 1_000_000 });
    await open(bus, fleet);
    expect((await streams.info(stream)).config.max_bytes).toBe(small.keysBytes);
    await expect(streams.info("ROLLCALL_ROOM")).rejects.toThrow("not found");
  });

  test("a server without JetStream is told from one that is gone", async () => {
    const server = await startNats({ config: "jetstream: disabled" });
    closing.push(() => server.stop());
    const bus = await connect(server);
    await expect(open(bus, "default")).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
  });
});

describe("rights", () => {
  const fleet = "default";
  const nats = withNats({
    config: `
      authorization { users: [
        { user: all, password: pw }
        { user: agent, password: pw, permissions: {
            publish: ["${directGetSubject(fleet, "desired.instance.i1")}"],
            subscribe: ["_INBOX_agent.>", "rollcall.v1.default.desired.instance.i1"] } }
      ] }`,
  });
  const as = async (user: string) => {
    const bus = await connectNatsBus({
      servers: nats().url,
      user,
      pass: "pw",
      name: user,
      inboxPrefix: `_INBOX_${user}`,
      clock,
      log: quietLog,
    });
    closing.push(() => bus.close());
    return bus;
  };

  test("an agent reads and watches its own key with two rights, and is refused every other", async () => {
    const leadership = await lead(await open(await as("all"), fleet));
    const bus = await as("agent");
    const reader = openLedgerReader(bus, fleet);
    const seen: unknown[] = [];
    reader.watch("desired.instance.i1", ({ value }) => seen.push(value));
    await bus.flush();
    await leadership.commit(batch({ "desired.instance.i1": 1, "desired.instance.i2": 2 }));
    await eventually(() => seen.length > 0);
    expect(seen).toEqual([1]);
    expect(await reader.get("desired.instance.i1")).toMatchObject({ value: 1 });
    await expect(reader.get("desired.instance.i2")).rejects.toMatchObject({ code: "NOT_ALLOWED" });
    await expect(open(bus, fleet)).rejects.toMatchObject({
      code: expect.stringMatching(/NOT_ALLOWED|LEDGER_UNAVAILABLE/),
    });
  });
});

describe("faults of the server", () => {
  const nats = withNats();

  test("a server that stands still longer than a try waits: the commit is written once", async () => {
    const { bus, fleet } = await world(nats());
    const leadership = await lead(await open(bus, fleet));
    await leadership.commit(batch({ a: 0 }));
    await nats().pause();
    const committing = leadership.commit(batch({ a: 1 }));
    await new Promise((resolve) => setTimeout(resolve, 5_500));
    await nats().resume();
    const { revisions } = await committing;
    const { revisions: next } = await leadership.commit(batch({ a: 2 }));
    expect(next.get("a")).toBeGreaterThan(revisions.get("a") ?? Number.POSITIVE_INFINITY);
    const events = await eventually(async () => {
      const found = await eventsOf(bus, fleet);
      return found.length >= 3 && found;
    });
    expect(events).toHaveLength(3);
  });

  test("a server that is killed again and again loses no acknowledged commit and writes none twice", async () => {
    const { bus, fleet } = await world(nats());
    const ledger = await open(bus, fleet);
    const leadership = await lead(ledger);
    let committed = 0;
    let failure: unknown;
    const committing = (async () => {
      while (committed < 200) {
        await leadership.commit(batch({ count: committed + 1, [`k.${committed + 1}`]: 1 }));
        committed++;
      }
    })().catch((thrown: unknown) => {
      failure = thrown;
    });
    for (const after of [60, 130]) {
      await eventually(() => committed >= after || failure !== undefined, { everyMs: 1 });
      await nats().kill9();
      await nats().restart();
    }
    await committing;
    expect(failure).toBeUndefined();
    const all = await ledger.readAll();
    expect(all.filter(({ key }) => key.startsWith("k."))).toHaveLength(200);
    const events = await eventually(async () => {
      const found = await eventsOf(bus, fleet);
      return found.length >= 200 && found;
    });
    expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
    expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
  });

  test("a renewal whose answer was lost counts, and the leader goes on", async () => {
    const { fleet } = await world(nats());
    const proxy = await startFaultyProxy(nats().url);
    closing.push(() => proxy.end());
    const bus = await connect(nats(), proxy.url);
    const ledger = await open(bus, fleet);
    const leadership = await lead(ledger, "one", 4_000);
    proxy.lose("toClient");
    await expect(leadership.renew()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE" });
    proxy.cut();
    proxy.heal();
    await eventually(() =>
      leadership.renew().then(
        () => true,
        () => false,
      ),
    );
    await leadership.renew();
    expect(await ledger.lease()).toMatchObject({ heldBy: "one", epoch: 1 });
    await leadership.commit(batch({ a: 1 }));
  });

  test("a commit that was stored just before another one took over is known to be written", async () => {
    const { bus: other, fleet, streams, stream } = await world(nats());
    const proxy = await startFaultyProxy(nats().url);
    closing.push(() => proxy.end());
    const bus = await connect(nats(), proxy.url);
    const leadership = await lead(await open(bus, fleet), "one", 1_000);
    await leadership.commit(batch({ a: "first" }));
    const before = (await streams.info(stream)).state.last_seq;
    proxy.lose("toClient");
    const committing = leadership.commit(batch({ a: "stored" }));
    await eventually(async () => (await streams.info(stream)).state.last_seq > before);
    proxy.cut();
    const ledger = await open(other, fleet);
    await eventually(async () => isLeadership(await ledger.acquire({ holder: "two", leaseMs: 1_000 })));
    proxy.heal();
    const { revisions } = await committing;
    expect((await ledger.get("a"))?.revision).toBe(revisions.get("a"));
    await expect(leadership.commit(batch({ a: "more" }))).rejects.toMatchObject({ code: "DEPOSED" });
  });
});

describe("room", () => {
  const nats = withNats();

  test("events leave the bucket once the audit stream holds them", async () => {
    const { bus, fleet, streams, stream } = await world(nats());
    const leadership = await lead(await open(bus, fleet));
    const many = Array.from({ length: 200 }, (_, n) => event("x", { n }));
    const [first, ...rest] = many;
    if (first === undefined) throw new Error("there are events");
    for (let count = 0; count < 10; count++)
      await leadership.commit({ events: [first, ...rest], puts: [], deletes: [] });
    await eventually(async () => {
      await leadership.commit({ events: [first, ...rest], puts: [], deletes: [] });
      return (await streams.info(stream)).state.messages < 1_000;
    });
    const committed = (await eventually(async () => (await eventsOf(bus, fleet)).at(-1)))?.sequence;
    expect(committed).toBeGreaterThan(1_000);
  });

  test("the audit stream drops its oldest events, and what is left still verifies", async () => {
    const { bus, fleet, streams, eventStream } = await world(nats());
    const leadership = await lead(await open(bus, fleet));
    await streams.update(eventStream, { max_bytes: 30_000 });
    for (let n = 0; n < 120; n++) await leadership.commit(batch({ n }));
    const events = await eventually(async () => {
      const found = await eventsOf(bus, fleet);
      return found.at(-1)?.sequence === 120 && found;
    });
    expect(events.length).toBeLessThan(120);
    expect(events.map(chainVerifier()).filter((problem) => problem !== undefined)).toEqual([]);
    await expect(streams.purge(eventStream)).rejects.toThrow();
    await expect(streams.deleteMessage(eventStream, events.length)).rejects.toThrow();
  });
});
