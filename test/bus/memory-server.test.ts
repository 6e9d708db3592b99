import { expect, test } from "vitest";
import type { BusStatus } from "../../src/base/ports.js";
import type { ConnectOptions } from "../../src/bus/memory-bus.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { NodeClock } from "../../src/simulator/node-clock.js";

function world() {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock, { latencyMs: 1 });

  /** A process that notes what it hears, and when. */
  function listener(name: string, options?: ConnectOptions) {
    const bus = hub.connect(name, options);
    const got: string[] = [];
    const statuses: (readonly [BusStatus, number])[] = [];
    bus.subscribe("s", ({ data }) => got.push(new TextDecoder().decode(data)));
    bus.onStatus((status) => statuses.push([status, clock.monotonicMs()]));
    return { bus, got, statuses };
  }
  return { clock, hub, listener };
}

test("a message on its way to a process whose connection is lost does not come by the next one", async () => {
  const { clock, hub, listener } = world();
  const { got } = listener("agent");
  hub.connect("sender").publish("s", "lost");
  hub.disconnect("agent");
  hub.reconnect("agent");
  await clock.advance(10);
  expect(got).toEqual([]);
});

test("when the server is gone all connections are; what is part of it is back first, the others in their time", async () => {
  const { clock, hub, listener } = world();
  const part = listener("part", { isServer: true });
  const early = listener("early");
  const late = listener("late");
  const sender = hub.connect("sender");
  sender.publish("s", "on its way");
  const stopped = hub.stop((name) => (name === "late" ? 500 : 100));
  await clock.advance(1_000);
  expect(sender.connected).toBe(false);
  sender.publish("s", "sent to nobody");
  stopped.unsubscribe();
  expect([part, early, late].map(({ bus }) => bus.connected)).toEqual([true, false, false]);
  await clock.advance(200);
  sender.publish("s", "in the gap of one");
  await clock.advance(1_000);
  sender.publish("s", "for all");
  await clock.advance(1_000);
  expect(part.got).toEqual(["in the gap of one", "for all"]);
  expect(early.got).toEqual(part.got);
  expect(late.got).toEqual(["for all"]);
  expect(late.statuses).toEqual([
    ["disconnected", 0],
    ["reconnected", 1_500],
  ]);
});

test("who is cut off by more than one thing is connected when the last of them has ended", async () => {
  const { clock, hub, listener } = world();
  const { bus, statuses } = listener("agent");
  const stops = [hub.stop(), hub.stop()];
  hub.disconnect("agent");
  const born = hub.connect("born while the server was gone");
  expect(born.connected).toBe(false);
  stops[0]?.unsubscribe();
  await clock.advance(10);
  expect(born.connected).toBe(false);
  stops[1]?.unsubscribe();
  await clock.advance(10);
  expect([born.connected, bus.connected]).toEqual([true, false]);
  hub.reconnect("agent");
  await clock.advance(10);
  expect(statuses.map(([status]) => status)).toEqual(["disconnected", "reconnected"]);
});

test("a server that is gone again lets nobody in who was about to come back", async () => {
  const { clock, hub } = world();
  const bus = hub.connect("agent");
  hub.stop(() => 100).unsubscribe();
  const again = hub.stop(() => 100);
  await clock.advance(1_000);
  expect(bus.connected).toBe(false);
  again.unsubscribe();
  await clock.advance(1_000);
  expect(bus.connected).toBe(true);
});

test("a process that stands still while too much comes for it is cut off, hears of it when it runs, and has lost it", async () => {
  const { clock, hub, listener } = world();
  const own = new NodeClock(clock);
  const slow = listener("slow", { clock: own });
  const quick = listener("quick");
  const sender = hub.connect("sender");
  const slowness = hub.cutSlow({ pendingMax: 3, reconnectMs: 250 });
  own.stall(10_000);
  for (const n of [1, 2, 3]) sender.publish("s", `${n}`);
  await clock.advance(10_000);
  expect(slow.got).toEqual(["1", "2", "3"]);
  own.stall(10_000);
  for (const n of [4, 5, 6, 7, 8]) {
    sender.publish("s", `${n}`);
    await clock.advance(10);
  }
  await clock.advance(9_000);
  expect(slow.bus.connected).toBe(false);
  expect(slow.statuses).toEqual([]);
  await clock.advance(1_500);
  expect(slow.statuses.map(([status]) => status)).toEqual(["disconnected", "reconnected"]);
  sender.publish("s", "9");
  await clock.advance(10);
  expect(slow.got).toEqual(["1", "2", "3", "9"]);
  expect(quick.got).toHaveLength(9);
  slowness.unsubscribe();
  own.stall(1_000);
  for (let n = 0; n < 10; n++) sender.publish("s", "more");
  await clock.advance(2_000);
  expect(slow.got).toHaveLength(14);
});

test("a delay that is drawn for each message changes their order, the same way for the same seed", async () => {
  async function heard(seed: number): Promise<readonly string[]> {
    const { clock, hub, listener } = world();
    const { got } = listener("agent");
    const random = createSeededRandom(seed);
    hub.delay(
      () => random.unit() * 100,
      () => true,
    );
    const sender = hub.connect("sender");
    for (let n = 0; n < 20; n++) sender.publish("s", `${n}`);
    await clock.advance(200);
    return got;
  }
  const order = await heard(1);
  expect(order).toHaveLength(20);
  expect(order).not.toEqual([...order].sort((a, b) => Number(a) - Number(b)));
  expect(await heard(1)).toEqual(order);
  expect(await heard(2)).not.toEqual(order);
});
