import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Actor } from "../../src/runtime/actor.js";
import { SaveQueue } from "../../src/runtime/save-queue.js";
import type { counterMachine } from "./counter-machine.js";
import { type Counter, type CounterSpec, createWorld, spawnCounter, type World } from "./kit.js";

type Machine = typeof counterMachine;

interface Save {
  readonly record: unknown;
  readonly commands: readonly string[];
  resolve(): void;
  reject(error: unknown): void;
}

/** A counter whose saves end when the test says so. */
function durableCounter(
  world: World,
  spec: CounterSpec = {},
): Counter & { saves: Save[]; failures: unknown[]; happened: string[] } {
  const saves: Save[] = [];
  const failures: unknown[] = [];
  const happened: string[] = [];
  const counter = spawnCounter(world.host, {
    perform: ({ what }) => {
      happened.push(`performed ${what}`);
    },
    durable: {
      recordOf: (snapshot) => ({ count: snapshot.context.count }),
      save: (record, commands) =>
        new Promise((resolve, reject) => {
          const names = commands.map(({ what }) => what);
          happened.push(`save ${JSON.stringify(record)} ${names.join()}`.trimEnd());
          saves.push({ record, commands: names, resolve, reject });
        }),
      onSaveFailed: (error) => failures.push(error),
    },
    ...spec,
  });
  return { ...counter, saves, failures, happened };
}

function deferred() {
  let resolve = (): void => undefined;
  let reject = (_: unknown): void => undefined;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve: () => resolve(), reject: (error: unknown) => reject(error) };
}

const say = (actor: Actor<Machine>, what: string): boolean => actor.send({ type: "SAY", what });

describe("a durable actor", () => {
  test("saves its first state and performs its first commands after that", async () => {
    const world = createWorld();
    const { actor, saves, happened } = durableCounter(world);
    expect(actor.saved).toBe(false);
    expect(saves).toEqual([]);
    await world.clock.advance(0);
    expect(happened).toEqual(['save {"count":0} hello']);
    saves[0]?.resolve();
    await world.clock.settle();
    expect(happened).toEqual(['save {"count":0} hello', "performed hello"]);
    expect(actor.saved).toBe(true);
  });

  test("is handed records while earlier saves are under way, and performs in the order of its transitions", async () => {
    const world = createWorld();
    const { actor, saves, happened } = durableCounter(world);
    actor.send({ type: "ADD" });
    say(actor, "one");
    actor.send({ type: "ADD" });
    say(actor, "two");
    await world.clock.advance(0);
    expect(saves.map(({ record, commands }) => [record, commands])).toEqual([
      [{ count: 0 }, ["hello"]],
      [{ count: 1 }, []],
      [{ count: 1 }, ["one"]],
      [{ count: 2 }, []],
      [{ count: 2 }, ["two"]],
    ]);
    happened.length = 0;
    for (const at of [4, 2, 1]) saves[at]?.resolve();
    await world.clock.settle();
    expect(happened).toEqual([]);
    expect(actor.saved).toBe(false);
    saves[0]?.resolve();
    await world.clock.settle();
    expect(happened).toEqual(["performed hello", "performed one"]);
    saves[3]?.resolve();
    await world.clock.settle();
    expect(happened).toEqual(["performed hello", "performed one", "performed two"]);
    expect(actor.saved).toBe(true);
  });

  test("does not save what is as it was, but hands over commands that come with an equal record", async () => {
    const world = createWorld();
    const { actor, saves } = durableCounter(world);
    world.host.send("counter", "c1", { type: "NOBODY_KNOWS" });
    actor.send({ type: "ADD", by: 0 });
    actor.send({ type: "ARM", id: "a", delayMs: 10 });
    say(actor, "x");
    await world.clock.advance(0);
    expect(saves.map(({ commands }) => commands)).toEqual([["hello"], ["x"]]);
  });

  test("handles no more while too many saves are under way, and goes on when one ended", async () => {
    const world = createWorld({ savesUnderWayMax: 3 });
    const { actor, saves } = durableCounter(world);
    for (let at = 0; at < 5; at++) actor.send({ type: "ADD" });
    await world.clock.advance(0);
    expect(saves).toHaveLength(3);
    expect(world.host.stats.queued).toBe(3);
    saves[0]?.resolve();
    await world.clock.advance(0);
    expect(saves).toHaveLength(4);
    for (let at = 1; at < 6; at++) {
      saves[at]?.resolve();
      await world.clock.advance(0);
    }
    expect(actor.snapshot().context.count).toBe(5);
    expect(actor.saved).toBe(true);
  });

  test("stops when a save fails: earlier ones still count, nothing of it or after it is performed", async () => {
    const world = createWorld();
    const { actor, saves, failures, happened } = durableCounter(world);
    for (const what of ["one", "two", "three"]) say(actor, what);
    await world.clock.advance(0);
    say(actor, "four");
    happened.length = 0;
    saves[2]?.reject(new Error("disk full"));
    await world.clock.settle();
    expect(failures).toEqual([]);
    saves[1]?.resolve();
    saves[0]?.resolve();
    await world.clock.settle();
    expect(happened).toEqual(["performed hello", "performed one"]);
    expect(failures).toEqual([new Error("disk full")]);
    expect(actor.saved).toBe(false);
    expect(actor.send({ type: "ADD" })).toBe(false);
    expect(world.host.find("counter", "c1")).toBeUndefined();
    saves[3]?.reject(new Error("disk full"));
    await world.clock.advance(0);
    await world.host.idle();
    expect(failures).toHaveLength(1);
    expect(world.host.stats.deadLettersBy).toMatchObject({ notPerformed: 2, stopped: 2 });
  });

  test("stops when its record cannot be made, or its save throws at once", async () => {
    const world = createWorld();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    const failures: string[] = [];
    const onSaveFailed = (error: unknown): void => void failures.push(String(error));
    const save = async (): Promise<void> => undefined;
    spawnCounter(world.host, { id: "a", durable: { recordOf: () => circular, save, onSaveFailed } });
    spawnCounter(world.host, { id: "b", durable: { recordOf: () => undefined, save, onSaveFailed } });
    const refuse = (): never => {
      throw new Error("no");
    };
    spawnCounter(world.host, { id: "c", durable: { recordOf: () => 1, save: refuse, onSaveFailed } });
    await world.clock.advance(0);
    expect(failures).toEqual([
      expect.stringContaining("circular"),
      "Error: assertion failed: a record is plain JSON",
      "Error: no",
    ]);
    expect(world.host.stats.actors).toBe(0);
  });

  test("that was stopped performs nothing of the saves under way, and the host is idle when they ended", async () => {
    const world = createWorld();
    const { actor, saves, happened } = durableCounter(world);
    await world.clock.advance(0);
    actor.stop();
    let idle = false;
    const waiting = world.host.idle().then(() => {
      idle = true;
    });
    await world.clock.settle();
    expect(idle).toBe(false);
    saves[0]?.resolve();
    await waiting;
    expect(happened).toEqual(['save {"count":0} hello']);
    expect(world.host.stats.deadLettersBy).toMatchObject({ notPerformed: 1 });
  });

  test("that is restored does not save what it was restored from", async () => {
    const world = createWorld();
    const restored = { value: "counting", context: { count: 7, rang: 0 }, timers: [] } as const;
    const { actor, saves, happened } = durableCounter(world, { restored });
    expect(actor.saved).toBe(true);
    await world.clock.advance(0);
    actor.send({ type: "ADD", by: 0 });
    await world.clock.advance(0);
    expect(happened).toEqual([]);
    actor.send({ type: "ADD" });
    await world.clock.advance(0);
    expect(saves.map(({ record }) => record)).toEqual([{ count: 8 }]);
  });
});

describe("saves that end in any order", () => {
  test("are told in the order of their beginning, up to the first that failed", async () => {
    const ends = fc.integer({ min: 1, max: 20 }).chain((count) =>
      fc.record({
        order: fc.shuffledSubarray([...Array(count).keys()], { minLength: count, maxLength: count }),
        failing: fc.option(fc.nat(count - 1), { nil: count }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(ends, async ({ order, failing }) => {
        const saved: number[] = [];
        const failed: (readonly number[])[] = [];
        let settled = 0;
        const queue = new SaveQueue<number>({
          saved: (commands) => saved.push(...commands),
          failed: (_, lost) => failed.push(lost),
          settled: () => settled++,
        });
        const all = order.map((_, at) => at);
        const settle = all.map((at) => {
          const save = deferred();
          queue.add([at], () => save.promise);
          return at === failing ? () => save.reject(new Error("full")) : () => save.resolve();
        });
        for (const at of order) {
          settle[at]?.();
          await new Promise((resolve) => setImmediate(resolve));
          const ended = new Set(order.slice(0, order.indexOf(at) + 1));
          const prefix = all.slice(
            0,
            [...all, -1].findIndex((one) => !ended.has(one)),
          );
          expect(saved).toEqual(prefix.filter((one) => one < failing));
        }
        expect(settled).toBe(order.length);
        expect(queue.size).toBe(0);
        expect(failed).toEqual(failing < order.length ? [all.slice(failing)] : []);
      }),
    );
  });
});

describe("a restored state", () => {
  test("that the machine does not have is a clear error, and leaves nothing behind", () => {
    const { host, clock } = createWorld();
    const restored = {
      value: "gone",
      context: { count: 1, rang: 0 },
      timers: [{ id: "t", event: { type: "RANG" }, dueAtMs: 5 }],
    };
    expect(() => spawnCounter(host, { restored: restored as never })).toThrow(
      `the actor counter/c1 cannot start: the machine 'counter' has no state "gone": State 'gone' does not exist on 'counter'`,
    );
    expect(host.stats.actors).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("is not entered again", async () => {
    const { host, clock } = createWorld();
    const { said, actor } = spawnCounter(host, {
      restored: { value: "counting", context: { count: 2, rang: 0 } },
    });
    await clock.advance(0);
    expect(said).toEqual([]);
    expect(actor.snapshot()).toMatchObject({ value: "counting", context: { count: 2 } });
  });

  test("that is final is final", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host, { restored: { value: "ended", context: { count: 2, rang: 0 } } });
    await clock.advance(0);
    expect(actor.snapshot().status).toBe("done");
    expect(actor.send({ type: "ADD" })).toBe(false);
  });
});
