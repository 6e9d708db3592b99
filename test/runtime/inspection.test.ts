import { describe, expect, test } from "vitest";
import type { BusMessage } from "../../src/base/ports.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { subjectsOf } from "../../src/contracts/subjects.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import type { InspectionEvent } from "../../src/runtime/inspection.js";
import type { HostLimits } from "../../src/runtime/limits.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { quietLog } from "../kit/quiet-log.js";
import { createWorld, spawnCounter } from "./kit.js";

const publicView = ({ context }: { context: { count: number; rang: number } }) => ({ count: context.count });

describe("an observer in the process", () => {
  test("hears each handled event, with the new state and the public fields that changed", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host, { publicView });
    const heard: InspectionEvent[] = [];
    const subscription = host.inspect({ next: (event) => heard.push(event) });
    actor.send({ type: "ADD", by: 4 });
    actor.send({ type: "RANG" });
    actor.send({ type: "END" });
    await clock.advance(0);
    const same = { node: "here", kind: "counter", id: "c1", at: clock.nowMs() };
    expect(heard).toEqual([
      { ...same, seq: 1, event: "ADD", value: "counting", status: "active", context: { count: 4 } },
      { ...same, seq: 2, event: "RANG", value: "counting", status: "active" },
      { ...same, seq: 3, event: "END", value: "ended", status: "done" },
    ]);
    subscription.unsubscribe();
    spawnCounter(host, { id: "c2" }).actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(heard).toHaveLength(3);
  });

  test("that throws, or a view that does, disturbs no actor", async () => {
    const { host, clock, log } = createWorld();
    const { actor } = spawnCounter(host, {
      publicView: () => {
        throw new Error("view");
      },
    });
    host.inspect({ next: () => undefined });
    actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(actor.snapshot().context.count).toBe(1);
    expect(log.lines).toMatchObject([{ level: "error", facts: { error: "view" } }]);
  });
});

function createFleet(limits: Partial<HostLimits> = {}) {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock);
  const subjects = subjectsOf("f1");
  const hostOf = (node: string) =>
    createActorHost({
      node,
      clock,
      random: createSeededRandom(node),
      log: quietLog,
      bus: hub.connect(node),
      subjects,
      limits,
    });
  const person = hub.connect("person");
  const parsed = (message: BusMessage) => JSON.parse(new TextDecoder().decode(message.data));
  const ask = async (kind: string, id: string, body = "") => {
    const answer = person
      .request(subjects.actorState(kind, id), body, { timeoutMs: 1_000 })
      .then(parsed, (error: { code: string }) => error.code);
    await clock.advance(1_000);
    return await answer;
  };
  return { clock, subjects, hostOf, person, parsed, ask };
}

describe("over the bus", () => {
  test("the state of any actor is told by the host that has it, and by nobody else", async () => {
    const { clock, hostOf, ask } = createFleet();
    const [one, two] = [hostOf("one"), hostOf("two")];
    spawnCounter(one, { publicView });
    spawnCounter(two, { kind: "odd kind/ü", id: "v1.0+b", input: { count: 9 } }).actor.send({
      type: "ARM",
      id: "a",
      delayMs: 5_000,
    });
    await clock.advance(0);
    const startMs = clock.nowMs();
    expect(await ask("counter", "c1")).toEqual({
      kind: "counter",
      id: "c1",
      node: "one",
      incarnation: expect.stringMatching(/^\w{22}$/),
      at: startMs,
      machine: "counter",
      phase: "running",
      value: "counting",
      queued: 0,
      saved: true,
      timers: [],
      context: { count: 0 },
    });
    const second = await ask("odd kind/ü", "v1.0+b");
    expect(second).toMatchObject({ node: "two", timers: [{ id: "a", dueAtMs: startMs + 5_000 }] });
    expect(second).not.toHaveProperty("context");
    expect(await ask("counter", "nobody")).toBe("REQUEST_TIMEOUT");
    one.stop();
    two.stop();
    expect(await ask("counter", "c1")).toBe("NO_RESPONDERS");
  });

  test("a context that is too large is left out, and the answer says how large it is", async () => {
    const { hostOf, ask } = createFleet({ stateBytesMax: 1_000 });
    spawnCounter(hostOf("one"), { publicView: () => ({ long: "x".repeat(2_000) }) });
    const answer = await ask("counter", "c1");
    expect(answer).toMatchObject({ contextBytes: 2_011, value: "counting" });
    expect(answer).not.toHaveProperty("context");
  });

  test("a request that cannot be read is refused with its code", async () => {
    const { hostOf, ask } = createFleet();
    spawnCounter(hostOf("one"));
    for (const body of [
      "{",
      "null",
      "[]",
      '{"watchMs":-1}',
      '{"watchMs":60001}',
      '{"watchMs":1.5}',
      '{"more":1}',
      "\u0000",
    ]) {
      expect(await ask("counter", "c1", body)).toMatchObject({
        error: { code: "BAD_REQUEST", retry: "never" },
      });
    }
  });

  test("events are sent while somebody renews the interest, and not for a moment longer", async () => {
    const { clock, subjects, hostOf, person, parsed, ask } = createFleet();
    const host = hostOf("one");
    const watched = spawnCounter(host, { publicView }).actor;
    const other = spawnCounter(host, { id: "c2" }).actor;
    const heard: Record<string, unknown>[] = [];
    person.subscribe(`${subjects.root}.actor.*.*.inspect`, (message) => heard.push(parsed(message)));
    const addAfter = async (ms: number) => {
      await clock.advance(ms);
      watched.send({ type: "ADD" });
      other.send({ type: "ADD" });
      await clock.advance(0);
    };
    await addAfter(0);
    expect(heard).toEqual([]);
    expect(await ask("counter", "c1", '{"watchMs":10000}')).toMatchObject({
      watch: { subject: subjects.actorInspect("counter", "c1"), forMs: 10_000, seq: 0, dropped: 0 },
    });
    await addAfter(8_000);
    expect(heard).toMatchObject([
      { seq: 1, dropped: 0, node: "one", id: "c1", event: "ADD", value: "counting", context: { count: 2 } },
    ]);
    expect(await ask("counter", "c1", '{"watchMs":10000}')).toMatchObject({ watch: { seq: 1 } });
    await addAfter(8_000);
    expect(heard.map(({ seq }) => seq)).toEqual([1, 2]);
    await addAfter(2_000);
    expect(heard).toHaveLength(2);
    expect(await ask("counter", "c1", '{"watchMs":10000}')).toMatchObject({ watch: { seq: 0 } });
    expect(await ask("counter", "c1", '{"watchMs":0}')).toMatchObject({ watch: { forMs: 0 } });
    await addAfter(0);
    expect(heard).toHaveLength(2);
  });

  test("only so many events a second are sent and so many actors watched; the watcher sees what it missed", async () => {
    const { clock, subjects, hostOf, person, parsed, ask } = createFleet({
      inspectPerSecondMax: 10,
      watchedMax: 1,
    });
    const host = hostOf("one");
    const { actor } = spawnCounter(host);
    spawnCounter(host, { id: "c2" });
    const heard: { seq: number; dropped: number }[] = [];
    person.subscribe(subjects.actorInspect("counter", "c1"), (message) => heard.push(parsed(message)));
    await ask("counter", "c1", '{"watchMs":60000}');
    expect(await ask("counter", "c2", '{"watchMs":60000}')).toMatchObject({ watch: { forMs: 0 } });
    for (let at = 0; at < 100; at++) actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(heard.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await clock.advance(1_000);
    actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(heard.at(-1)).toMatchObject({ seq: 101, dropped: 90 });
  });

  test("a stopped host sends nothing more and leaves no timer", async () => {
    const { clock, hostOf, ask } = createFleet();
    const host = hostOf("one");
    spawnCounter(host);
    await ask("counter", "c1", '{"watchMs":60000}');
    expect(clock.pending).toBe(1);
    host.stop();
    expect(clock.pending).toBe(0);
  });
});
