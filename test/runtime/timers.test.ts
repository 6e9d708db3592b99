import { describe, expect, test } from "vitest";
import { assign, setup } from "xstate";
import type { ArmedTimer, RestoredState } from "../../src/runtime/actor.js";
import { ArmedTimers } from "../../src/runtime/armed-timers.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { createWorld, spawnCounter, type World } from "./kit.js";

const chain = setup({
  types: {} as { context: { delayMs: number }; events: { type: "BACK" | "STAY" } },
  delays: { soon: ({ context }) => context.delayMs },
  actions: { longer: assign({ delayMs: 500 }) },
}).createMachine({
  id: "chain",
  context: { delayMs: 100 },
  initial: "a",
  states: {
    a: { after: { 100: "b" } },
    b: { after: { 100: "c" }, on: { BACK: { target: "b", reenter: true } } },
    c: { after: { soon: "d" }, entry: "longer" },
    d: {},
  },
});

function spawnChain(world: World, restored?: RestoredState<typeof chain>) {
  let timers: readonly ArmedTimer[] = [];
  const actor = world.host.spawn({
    kind: "chain",
    id: "i",
    machine: chain,
    ...(restored && { restored }),
    perform: () => undefined,
    durable: {
      recordOf: (_, armed) => {
        timers = armed;
        return armed;
      },
      save: async () => undefined,
      onSaveFailed: (error) => expect.fail(String(error)),
    },
  });
  return { actor, timers: () => timers };
}

describe("a delayed transition", () => {
  test("happens at its time, each of a chain measured from the one before", async () => {
    const world = createWorld();
    const { actor, timers } = spawnChain(world);
    const startMs = world.clock.nowMs();
    await world.clock.advance(99);
    expect(actor.snapshot().value).toBe("a");
    expect(timers()).toEqual([
      { id: "xstate.after.100.chain.a", event: { type: "xstate.after.100.chain.a" }, dueAtMs: startMs + 100 },
    ]);
    await world.clock.advance(1);
    expect(actor.snapshot().value).toBe("b");
    await world.clock.advance(100);
    expect(actor.snapshot().value).toBe("c");
    expect(timers()).toMatchObject([{ id: "xstate.after.soon.chain.c", dueAtMs: startMs + 700 }]);
    await world.clock.advance(500);
    expect(actor.snapshot().value).toBe("d");
    expect(timers()).toEqual([]);
    expect(world.clock.pending).toBe(0);
  });

  test("begins anew when its state is entered again", async () => {
    const world = createWorld();
    const { actor } = spawnChain(world);
    await world.clock.advance(190);
    actor.send({ type: "BACK" });
    await world.clock.advance(90);
    expect(actor.snapshot().value).toBe("b");
    await world.clock.advance(10);
    expect(actor.snapshot().value).toBe("c");
  });

  test("that is due goes before the events that wait", async () => {
    const { host, clock } = createWorld();
    const rangAt: number[] = [];
    const { actor } = spawnCounter(host, {
      onTransition: ({ context }) => {
        if (context.rang > rangAt.length) rangAt.push(context.count);
      },
    });
    actor.send({ type: "ARM", id: "a", delayMs: 100 });
    await clock.advance(0);
    clock.setTimer(100, () => {
      for (let at = 0; at < 500; at++) actor.send({ type: "ADD" });
    });
    await clock.advance(100);
    expect(rangAt).toEqual([0]);
    expect(actor.snapshot().context.count).toBe(500);
  });

  test("needs no place in a full mailbox", async () => {
    const { host, clock } = createWorld({ savesUnderWayMax: 1 });
    let end = (): void => undefined;
    const { actor } = spawnCounter(host, {
      mailbox: { max: 1, overflow: "refuse" },
      restored: {
        value: "counting",
        context: { count: 0, rang: 0 },
        timers: [{ id: "t", event: { type: "RANG" }, dueAtMs: clock.nowMs() + 50 }],
      },
      durable: {
        recordOf: (snapshot) => snapshot.context,
        save: () =>
          new Promise((resolve) => {
            end = resolve;
          }),
        onSaveFailed: (error) => expect.fail(String(error)),
      },
    });
    actor.send({ type: "ADD" });
    await clock.advance(0);
    actor.send({ type: "ADD" });
    expect(actor.send({ type: "ADD" })).toBe(false);
    await clock.advance(100);
    end();
    await clock.advance(0);
    expect(actor.snapshot().context).toEqual({ count: 1, rang: 1 });
  });

  test("without an id is a clear error of the machine, for it could not be armed again", async () => {
    const { host, clock, log } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "NO_ID" });
    await clock.advance(250);
    expect(actor.snapshot().context.rang).toBe(0);
    expect(
      log.lines.some(({ facts }) =>
        /'RANG' has no id; give one/.test((facts as { error?: string }).error ?? ""),
      ),
    ).toBe(true);
    expect(host.stats.restarts).toBe(1);
  });

  test("has a number of milliseconds for its delay, and there are not more than so many", async () => {
    const { host, clock } = createWorld({ timersPerActorMax: 3 });
    const { actor } = spawnCounter(host);
    actor.send({ type: "ARM", id: "a", delayMs: Number.POSITIVE_INFINITY });
    actor.send({ type: "ARM", id: "a", delayMs: Number.NaN });
    for (const id of ["a", "b", "c", "d"]) actor.send({ type: "ARM", id, delayMs: 100_000 });
    await clock.advance(5_000);
    expect(host.stats.deadLettersBy.failed).toBe(3);
    expect(clock.pending).toBe(3);
    actor.stop();
    expect(clock.pending).toBe(0);
  });

  test("armed under an id takes the place of the one before", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "ARM", id: "a", delayMs: 100 });
    actor.send({ type: "ARM", id: "a", delayMs: 300 });
    await clock.advance(299);
    expect(actor.snapshot().context.rang).toBe(0);
    await clock.advance(100);
    expect(actor.snapshot().context.rang).toBe(1);
  });
});

describe("after a restore", () => {
  test("what was armed happens at the time at which it was due", async () => {
    const first = createWorld();
    const { timers } = spawnChain(first);
    await first.clock.advance(60);
    const kept = JSON.parse(JSON.stringify(timers()));
    first.host.stop();
    const second = createWorld();
    const { actor } = spawnChain(second, { value: "a", context: { delayMs: 100 }, timers: kept });
    await second.clock.advance(99);
    expect(actor.snapshot().value).toBe("a");
    await second.clock.advance(1);
    expect(actor.snapshot().value).toBe("b");
  });

  test("what is overdue happens at once, in the order of the due times, and what an earlier one ends does not", async () => {
    const { host, clock } = createWorld();
    const order: string[] = [];
    const machine = setup({ types: {} as { events: { type: "A" | "B" | "C" } } }).createMachine({
      id: "m",
      initial: "a",
      on: { "*": { actions: ({ event }) => order.push(event.type) } },
      states: { a: { after: { 100: "left", 200: "wrong" } }, left: {}, wrong: {} },
    });
    const due = (type: string, agoMs: number): ArmedTimer => ({
      id: type,
      event: { type },
      dueAtMs: clock.nowMs() - agoMs,
    });
    const timers = [
      due("C", 1),
      due("A", 500),
      due("B", 20),
      due("xstate.after.100.m.a", 30),
      due("xstate.after.200.m.a", 10),
    ];
    const actor = host.spawn({
      kind: "k",
      id: "i",
      machine,
      perform: () => undefined,
      restored: { value: "a", context: {}, timers },
    });
    expect(order).toEqual([]);
    await clock.advance(0);
    expect(order).toEqual(["A", "B", "C"]);
    expect(actor.snapshot().value).toBe("left");
  });

  test("a state whose delayed transitions were not kept begins them anew, instead of waiting for ever", async () => {
    const world = createWorld();
    const { actor } = spawnChain(world, { value: "c", context: { delayMs: 50 } });
    await world.clock.advance(49);
    expect(actor.snapshot().value).toBe("c");
    await world.clock.advance(1);
    expect(actor.snapshot().value).toBe("d");
    const other = createWorld();
    const none = spawnChain(other, { value: "c", context: { delayMs: 50 }, timers: [] }).actor;
    await other.clock.advance(1_000);
    expect(none.snapshot().value).toBe("c");
  });
});

describe("due times in records", () => {
  test("do not change while the clocks agree, and follow a wall clock that was set", async () => {
    const clock = createVirtualClock({ startMs: 1_000_000 });
    let steppedMs = 0;
    const wall = {
      nowMs: () => clock.nowMs() + steppedMs + Math.sin(clock.monotonicMs()) * 20,
      monotonicMs: () => clock.monotonicMs(),
      setTimer: clock.setTimer.bind(clock),
    };
    let due = 0;
    const timers = new ArmedTimers(wall, () => {
      due++;
    });
    timers.arm("a", { type: "A" }, 10_000);
    const [before] = timers.list();
    await clock.advance(5_003);
    expect(timers.list()).toEqual([before]);
    steppedMs = 3_600_000;
    expect(Math.abs(timers.list()[0]!.dueAtMs - (before!.dueAtMs + steppedMs))).toBeLessThan(50);
    await clock.advance(4_996);
    expect(due).toBe(0);
    await clock.advance(1);
    expect(due).toBe(1);
    expect(timers.list()).toHaveLength(1);
    timers.handled(timers.nextDue()!);
    expect(timers.list()).toEqual([]);
  });
});
