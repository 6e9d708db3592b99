import { expect, test } from "vitest";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { busSuite } from "./bus-suite.js";

busSuite("the bus in memory", async () => {
  const hub = createMemoryBus(createRealClock());
  const names: string[] = [];
  return {
    connect: async (name) => {
      names.push(name);
      return hub.connect(name);
    },
    cut: async () => names.forEach((name) => void hub.disconnect(name)),
    heal: async () => names.forEach((name) => void hub.reconnect(name)),
    end: async () => undefined,
  };
});

const text = (data: Uint8Array) => new TextDecoder().decode(data);

function world(options: { latencyMs?: number } = {}) {
  const clock = createVirtualClock({ startMs: 0 });
  const hub = createMemoryBus(clock, options);
  return { clock, hub };
}

test("a message arrives after the latency and not before, in order", async () => {
  const { clock, hub } = world({ latencyMs: 5 });
  const got: string[] = [];
  hub.connect("listener").subscribe("a.*", (message) => got.push(`${text(message.data)}@${clock.nowMs()}`));
  const sender = hub.connect("sender");
  sender.publish("a.b", "one");
  sender.publish("a.c", "two");
  await clock.advance(4);
  expect(got).toEqual([]);
  await clock.advance(1);
  expect(got).toEqual(["one@5", "two@5"]);
});

test("what is published while cut off is lost without an error, in both directions", async () => {
  const { clock, hub } = world();
  const got: string[] = [];
  const statuses: string[] = [];
  const agent = hub.connect("agent");
  const coordinator = hub.connect("coordinator");
  agent.onStatus((status) => statuses.push(status));
  agent.subscribe("to.agent", (message) => got.push(text(message.data)));
  coordinator.subscribe("to.coordinator", (message) => got.push(text(message.data)));
  hub.disconnect("agent");
  agent.publish("to.coordinator", "lost");
  coordinator.publish("to.agent", "lost");
  await clock.advance(10);
  hub.reconnect("agent");
  agent.publish("to.coordinator", "kept");
  coordinator.publish("to.agent", "kept");
  await clock.advance(10);
  expect(got).toEqual(["kept", "kept"]);
  expect(statuses).toEqual(["disconnected", "reconnected"]);
  expect(agent.counts.lost).toBe(1);
});

test("a message on its way to a process that is then cut off is lost", async () => {
  const { clock, hub } = world({ latencyMs: 10 });
  let got = 0;
  hub.connect("agent").subscribe("x", () => got++);
  hub.connect("sender").publish("x", "");
  await clock.advance(5);
  hub.disconnect("agent");
  await clock.advance(20);
  hub.reconnect("agent");
  await clock.advance(20);
  expect(got).toBe(0);
});

test("messages can be dropped, doubled and delayed by what they are", async () => {
  const { clock, hub } = world({ latencyMs: 1 });
  const got: string[] = [];
  hub.connect("listener").subscribe(">", (message) => got.push(text(message.data)));
  const sender = hub.connect("sender");
  const faults = [
    hub.drop(({ data }) => text(data) === "dropped"),
    hub.duplicate(({ data }) => text(data) === "doubled"),
    hub.delay(50, ({ data, from, to }) => text(data) === "late" && from === "sender" && to === "listener"),
  ];
  for (const word of ["dropped", "doubled", "late", "plain"]) sender.publish("s", word);
  await clock.advance(100);
  expect(got).toEqual(["doubled", "doubled", "plain", "late"]);
  for (const fault of faults) fault.unsubscribe();
  sender.publish("s", "dropped");
  await clock.advance(100);
  expect(got.at(-1)).toBe("dropped");
});

test("a request takes two latencies, and its time-out is counted in the time of the clock", async () => {
  const { clock, hub } = world({ latencyMs: 3 });
  hub.connect("server").subscribe("ask", (message) => message.respond("answer", { mark: "m" }));
  hub.connect("silent").subscribe("silence", () => undefined);
  const caller = hub.connect("caller");
  const answer = caller.request("ask", "", { timeoutMs: 100 });
  const silence = caller.request("silence", "", { timeoutMs: 100 });
  const refused = expect(silence).rejects.toMatchObject({ code: "REQUEST_TIMEOUT" });
  await clock.advance(6);
  expect(text((await answer).data)).toBe("answer");
  expect((await answer).header("mark")).toBe("m");
  await clock.advance(100);
  await refused;
  expect(clock.pending).toBe(0);
});

test("a process that ended can start again under its name; two living ones cannot share it", async () => {
  const { clock, hub } = world();
  const first = hub.connect("agent");
  expect(() => hub.connect("agent")).toThrow("agent");
  const closed = first.close();
  await clock.advance(0);
  await closed;
  hub.connect("agent");
});

test("the bytes that a sender reuses do not change what is on its way", async () => {
  const { clock, hub } = world({ latencyMs: 1 });
  const got: string[] = [];
  hub.connect("listener").subscribe("s", (message) => got.push(text(message.data)));
  const bytes = new TextEncoder().encode("before");
  hub.connect("sender").publish("s", bytes);
  bytes.fill(0x21);
  await clock.advance(1);
  expect(got).toEqual(["before"]);
});

test("a tap sees each message as it goes out and as it is taken; a sender that ends there has sent nothing", async () => {
  const { clock, hub } = world();
  const seen: string[] = [];
  hub.connect("listener").subscribe("a", () => seen.push("handled"));
  const sender = hub.connect("sender");
  const tap = hub.tap({
    sending: ({ from, to, subject }) => {
      seen.push(`${from} sends ${subject} to ${to.join()}`);
      if (seen.length > 4) void sender.close();
    },
    sent: () => seen.push("sent"),
    taken: (_, by) => seen.push(`taken by ${by}`),
  });
  sender.publish("a", "one");
  await clock.advance(1);
  expect(seen).toEqual(["sender sends a to listener", "sent", "handled", "taken by listener"]);
  sender.publish("a", "two");
  await clock.advance(1);
  expect(seen.slice(4)).toEqual(["sender sends a to listener"]);
  tap.unsubscribe();
});
