import { describe, expect, test } from "vitest";
import type { Bus, BusStatus } from "../../src/base/ports.js";
import { createLateBus } from "../../src/bus/late-bus.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { quietLog } from "../kit/quiet-log.js";

/** A bus that cannot be reached for its first tries. */
function unreachableFor(tries: number) {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock);
  const seen = { tries: 0 };
  const connect = async (): Promise<Bus> => {
    seen.tries++;
    if (seen.tries <= tries) throw new Error("nobody is there");
    return hub.connect("late");
  };
  return { clock, hub, seen, bus: createLateBus({ connect, clock, log: quietLog }) };
}

describe("a bus whose server comes later", () => {
  test("tries again with growing waits, and says when it is there", async () => {
    const { clock, bus, seen } = unreachableFor(3);
    const statuses: BusStatus[] = [];
    bus.onStatus((status) => statuses.push(status));
    await clock.advance(250 + 500);
    expect(seen.tries).toBe(3);
    expect(statuses).toEqual([]);
    await clock.advance(1_000);
    expect(seen.tries).toBe(4);
    expect(statuses).toEqual(["reconnected"]);
  });

  test.each([0, 1])("says when its first try has ended, of which %i fail", async (failing) => {
    const { bus, seen } = unreachableFor(failing);
    await bus.tried;
    expect(seen.tries).toBe(1);
    const [code] = failing === 1 ? ["NO_RESPONDERS"] : ["REQUEST_TIMEOUT"];
    if (failing === 1) await expect(bus.request("x", "", { timeoutMs: 10 })).rejects.toMatchObject({ code });
  });

  test("remembers what was subscribed, and forgets what was given up before", async () => {
    const { clock, hub, bus } = unreachableFor(1);
    const heard: string[] = [];
    bus.subscribe("kept", () => heard.push("kept"));
    bus.subscribe("given-up", () => heard.push("given up")).unsubscribe();
    await clock.advance(1_000);
    const other = hub.connect("other");
    other.publish("kept", "x");
    other.publish("given-up", "x");
    await clock.advance(10);
    expect(heard).toEqual(["kept"]);
  });

  test("loses what is sent before, and answers a request at once that nobody is there", async () => {
    const { clock, bus } = unreachableFor(1);
    bus.publish("anything", "lost");
    await expect(bus.request("anything", "", { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: "NO_RESPONDERS",
    });
    expect(await bus.requestMany("anything", "", { timeoutMs: 1_000, max: 1 })).toEqual([]);
    await bus.flush();
    await clock.advance(1_000);
  });

  test("closed before it was there, it connects no more", async () => {
    const { clock, bus, seen } = unreachableFor(5);
    const statuses: BusStatus[] = [];
    bus.onStatus((status) => statuses.push(status));
    await clock.settle();
    await bus.close();
    await clock.advance(60_000);
    expect(seen.tries).toBe(1);
    expect(statuses).toEqual(["closed"]);
  });
});
