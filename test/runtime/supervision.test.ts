import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { setup } from "xstate";
import { RestartBudget } from "../../src/runtime/restart-budget.js";
import type { CounterEvent } from "./counter-machine.js";
import { createWorld, spawnCounter } from "./kit.js";

describe("an actor whose machine throws", () => {
  test("loses that event and its commands, waits, and goes on from where it was; events wait meanwhile", async () => {
    const { host, clock, log } = createWorld();
    const { actor, said } = spawnCounter(host);
    actor.send({ type: "ADD" });
    actor.send({ type: "BOOM" });
    actor.send({ type: "ADD" });
    await clock.advance(249);
    expect(actor.snapshot()).toMatchObject({ status: "active", context: { count: 1 } });
    expect(actor.send({ type: "SAY", what: "back" })).toBe(true);
    expect(host.stats).toMatchObject({ queued: 2, restarts: 0 });
    await clock.advance(1);
    expect(actor.snapshot().context.count).toBe(2);
    expect(said).toEqual(["hello", "back"]);
    expect(host.stats).toMatchObject({ queued: 0, restarts: 1, deadLettersBy: { failed: 1 } });
    expect(host.deadLetters()).toEqual([{ kind: "counter", id: "c1", eventType: "BOOM", why: "failed" }]);
    expect(log.lines.find(({ level }) => level === "error")).toMatchObject({
      facts: { kind: "counter", id: "c1", event: "BOOM", error: "boom", waitMs: 250 },
    });
  });

  test("does not touch another actor", async () => {
    const { host, clock } = createWorld();
    const broken = spawnCounter(host, { id: "broken" }).actor;
    const well = spawnCounter(host, { id: "well" }).actor;
    broken.send({ type: "BOOM" });
    well.send({ type: "ADD" });
    await clock.advance(0);
    expect(well.snapshot().context.count).toBe(1);
  });

  test("keeps its delayed events, and one that came due meanwhile is handled after the restart", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "ARM", id: "soon", delayMs: 100 });
    actor.send({ type: "ARM", id: "later", delayMs: 1_000 });
    actor.send({ type: "BOOM" });
    await clock.advance(200);
    expect(actor.snapshot().context.rang).toBe(0);
    await clock.advance(100);
    expect(actor.snapshot().context.rang).toBe(1);
    await clock.advance(700);
    expect(actor.snapshot().context.rang).toBe(2);
  });

  test("in circles is stopped after 1,000 steps, not after for ever", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "LOOP" });
    await clock.advance(250);
    expect(actor.snapshot().value).toBe("counting");
    expect(host.stats).toMatchObject({ restarts: 1, deadLettersBy: { failed: 1 } });
  });

  test("while handling a delayed event tries that one again, for a deadline must not get lost", async () => {
    const { host, clock } = createWorld();
    let failing = true;
    const machine = setup({
      actions: {
        maybe: () => {
          if (failing) throw new Error("not yet");
        },
      },
    }).createMachine({
      id: "m",
      initial: "a",
      states: { a: { after: { 100: { target: "b", actions: "maybe" } } }, b: {} },
    });
    const actor = host.spawn({ kind: "k", id: "i", machine, perform: () => undefined });
    await clock.advance(100);
    failing = false;
    await clock.advance(249);
    expect(actor.snapshot().value).toBe("a");
    await clock.advance(1);
    expect(actor.snapshot().value).toBe("b");
    expect(host.stats).toMatchObject({ restarts: 1, deadLetters: 0 });
  });
});

describe("events that make the machine throw", () => {
  test("are as if they had never been sent", async () => {
    const event = fc.constantFrom<CounterEvent>(
      { type: "ADD", by: 3 },
      { type: "SAY", what: "x" },
      { type: "BOOM" },
      { type: "LOOP" },
    );
    const outcomeOf = async (events: readonly CounterEvent[]) => {
      const { host, clock } = createWorld();
      const { actor, said } = spawnCounter(host, {
        supervision: { restartsMax: 1_000, backoffMs: 10, backoffMaxMs: 10 },
      });
      for (const one of events) actor.send(one);
      await clock.advance(1_000);
      return { state: actor.snapshot().toJSON(), said };
    };
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (events) => {
        const harmless = events.filter(({ type }) => type !== "BOOM" && type !== "LOOP");
        expect(await outcomeOf(events)).toEqual(await outcomeOf(harmless));
      }),
    );
  });

  test("may not meddle with actors from within; the machine is the one that fails", async () => {
    const { host, clock, log } = createWorld();
    const meddling = setup({
      types: {} as { events: { type: "STOP" | "SPAWN" } },
      actions: {
        stop: () => host.find("k", "i")?.stop(),
        spawn: () => void spawnCounter(host),
      },
    }).createMachine({ id: "meddling", on: { STOP: { actions: "stop" }, SPAWN: { actions: "spawn" } } });
    const actor = host.spawn({ kind: "k", id: "i", machine: meddling, perform: () => undefined });
    actor.send({ type: "SPAWN" });
    await clock.advance(250);
    expect(host.stats).toMatchObject({ actors: 1, restarts: 1 });
    expect(JSON.stringify(log.lines)).toContain("the code of a machine starts no other machine");
    actor.send({ type: "STOP" });
    await clock.advance(250);
    expect(host.stats).toMatchObject({ actors: 0, restarts: 1 });
    expect(clock.pending).toBe(0);
  });
});

describe("restarts", () => {
  test("wait twice as long each time, and after 5 within a minute the actor is given up and its owner told", async () => {
    const { host, clock } = createWorld();
    const givenUp: unknown[] = [];
    const { actor } = spawnCounter(host, { supervision: { onGiveUp: (error) => givenUp.push(error) } });
    const restartedAtMs: number[] = [];
    for (let at = 0; at < 10; at++) actor.send({ type: "BOOM" });
    for (let ms = 0; ms < 20_000 && givenUp.length === 0; ms += 50) {
      await clock.advance(50);
      if (host.stats.restarts > restartedAtMs.length) restartedAtMs.push(clock.monotonicMs());
    }
    expect(restartedAtMs).toEqual([250, 750, 1_750, 3_750, 7_750]);
    expect(givenUp).toEqual([new Error("boom")]);
    expect(host.stats).toMatchObject({
      actors: 0,
      queued: 0,
      restarts: 5,
      givenUp: 1,
      deadLettersBy: { failed: 6, stopped: 4 },
    });
    expect(actor.send({ type: "ADD" })).toBe(false);
    await clock.advance(60_000);
    expect(givenUp).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test("long ago do not count, and the wait never grows past its bound", () => {
    const budget = new RestartBudget({ restartsMax: 4, withinMs: 1_000, backoffMs: 100, backoffMaxMs: 300 });
    expect([0, 1, 2, 3].map((at) => budget.take(at))).toEqual([100, 200, 300, 300]);
    expect(budget.take(999)).toBeUndefined();
    expect(budget.take(1_001)).toBe(300);
    expect(budget.take(5_000)).toBe(100);
  });

  test("begin from the state that the owner gives, its delayed events included", async () => {
    const { host, clock } = createWorld();
    const seen: number[] = [];
    const { actor } = spawnCounter(host, {
      supervision: {
        restoreFrom: () => ({
          value: "counting",
          context: { count: 40, rang: 0 },
          timers: [{ id: "t", event: { type: "RANG" }, dueAtMs: clock.nowMs() + 100 }],
        }),
      },
      onTransition: (snapshot) => seen.push(snapshot.context.count),
    });
    actor.send({ type: "ADD" });
    actor.send({ type: "ARM", id: "old", delayMs: 500 });
    actor.send({ type: "BOOM" });
    actor.send({ type: "ADD" });
    await clock.advance(250);
    expect(seen).toEqual([1, 1, 40, 41]);
    await clock.advance(1_000);
    expect(actor.snapshot().context.rang).toBe(1);
  });

  test("from a state that does not exist count as failures", async () => {
    const { host, clock } = createWorld();
    const givenUp: unknown[] = [];
    const { actor } = spawnCounter(host, {
      supervision: {
        restartsMax: 2,
        restoreFrom: () => ({ value: "gone", context: {} }),
        onGiveUp: (error) => givenUp.push(String(error)),
      },
    });
    actor.send({ type: "BOOM" });
    await clock.advance(10_000);
    expect(givenUp).toEqual([expect.stringContaining(`has no state "gone"`)]);
    expect(host.stats).toMatchObject({ actors: 0, restarts: 0, givenUp: 1 });
  });

  test("do not happen to an actor that was stopped while it was down", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "BOOM" });
    await clock.advance(10);
    actor.stop();
    await clock.advance(1_000);
    expect(host.stats).toMatchObject({ actors: 0, restarts: 0 });
    expect(clock.pending).toBe(0);
  });

  test("let an owner that is told of the end put a new actor in the place", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host, {
      supervision: { restartsMax: 0, onGiveUp: () => void spawnCounter(host, { input: { count: 100 } }) },
    });
    actor.send({ type: "BOOM" });
    await clock.advance(0);
    expect(host.find("counter", "c1")?.snapshot().context).toMatchObject({ count: 100 });
  });
});
