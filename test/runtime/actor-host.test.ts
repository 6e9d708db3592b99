import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromPromise, setup } from "xstate";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { RingQueue } from "../../src/runtime/ring-queue.js";
import { counterMachine } from "./counter-machine.js";
import { createWorld, keptLog, spawnCounter } from "./kit.js";

describe("an actor", () => {
  test("has its first state at once, and handles events and performs commands in later turns only", async () => {
    const { host, clock } = createWorld();
    const { actor, said } = spawnCounter(host, { input: { count: 3 } });
    expect(actor.send({ type: "ADD" })).toBe(true);
    expect(actor.send({ type: "SAY", what: "four" })).toBe(true);
    expect(actor.snapshot().context.count).toBe(3);
    expect(said).toEqual([]);
    await clock.advance(0);
    expect(actor.snapshot().context.count).toBe(4);
    expect(said).toEqual(["hello", "four"]);
  });

  test("is found and reached by its identity, which no second one can take while it lives", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    expect(() => spawnCounter(host)).toThrow("there is an actor counter/c1 already");
    spawnCounter(host, { id: "c2" });
    spawnCounter(host, { kind: "other", id: "c1" });
    expect(host.find("counter", "c1")).toBe(actor);
    expect(host.find("counter", "c3")).toBeUndefined();
    expect([...host.list("counter")].map(({ id }) => id)).toEqual(["c1", "c2"]);
    expect([...host.list()]).toHaveLength(3);
    expect(host.send("counter", "c1", { type: "ADD" })).toBe(true);
    await clock.advance(0);
    expect(actor.snapshot().context.count).toBe(1);
    actor.stop();
    expect(host.find("counter", "c1")).toBeUndefined();
    expect(host.stats.actors).toBe(2);
    expect(spawnCounter(host).actor).not.toBe(actor);
  });

  test("tells its owner each handled event, also one that changed nothing", async () => {
    const { host, clock } = createWorld();
    const counts: number[] = [];
    const { actor } = spawnCounter(host, { onTransition: (snapshot) => counts.push(snapshot.context.count) });
    actor.send({ type: "ADD" });
    actor.send({ type: "SAY", what: "x" });
    host.send("counter", "c1", { type: "NOBODY_KNOWS" });
    await clock.advance(0);
    expect(counts).toEqual([1, 1, 1]);
  });

  test("may be stopped by its owner in the middle of its commands", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host, { perform: (_, self) => self.stop() });
    actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(host.stats).toMatchObject({ actors: 0, queued: 0, handled: 0, deadLettersBy: { stopped: 1 } });
  });

  test("survives a command and a view that throw, or reject", async () => {
    const { host, clock, log } = createWorld();
    const { actor } = spawnCounter(host, {
      perform: ({ what }) => {
        if (what === "later") return Promise.reject(new Error("rejected"));
        throw new Error("thrown");
      },
      onTransition: () => {
        throw new Error("view");
      },
    });
    actor.send({ type: "SAY", what: "later" });
    actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(actor.snapshot().context.count).toBe(1);
    expect(host.stats.failedCommands).toBe(2);
    expect(log.lines.map(({ facts }) => (facts as { error: string }).error)).toEqual(
      expect.arrayContaining(["thrown", "rejected", "view"]),
    );
  });

  test("whose machine fails at its start is an error of who spawns it, and leaves nothing behind", () => {
    const { host, clock } = createWorld();
    const broken = setup({ types: {} as { context: { length: number }; input: string } }).createMachine({
      context: ({ input }) => ({ length: input.length }),
    });
    const spec = { kind: "broken", id: "b", machine: broken, perform: () => undefined };
    expect(() => host.spawn(spec)).toThrow(/the actor broken\/b cannot start: .*undefined/);
    expect(host.stats.actors).toBe(0);
    expect(clock.pending).toBe(0);
    expect(host.spawn({ ...spec, input: "abc" }).snapshot().context.length).toBe(3);
  });

  test("cannot have a machine with actors of its own", () => {
    const { host } = createWorld();
    const inviting = setup({ actors: { work: fromPromise(async () => 1) } }).createMachine({
      id: "inviting",
      initial: "a",
      states: { a: { invoke: { src: "work" } } },
    });
    expect(() => host.spawn({ kind: "k", id: "i", machine: inviting, perform: () => undefined })).toThrow(
      "state 'inviting.a' invokes an actor; emit a command instead",
    );
  });
});

describe("a mailbox", () => {
  test("that is full refuses the newest, or drops the oldest, as its owner chose", async () => {
    const { host, clock } = createWorld();
    const refusing = spawnCounter(host, { id: "refusing", mailbox: { max: 2, overflow: "refuse" } }).actor;
    const dropping = spawnCounter(host, {
      id: "dropping",
      mailbox: { max: 2, overflow: "dropOldest" },
    }).actor;
    const add = (by: number) => ({ type: "ADD" as const, by });
    expect([1, 10, 100].map((by) => refusing.send(add(by)))).toEqual([true, true, false]);
    expect([1, 10, 100].map((by) => dropping.send(add(by)))).toEqual([true, true, true]);
    expect(host.stats.queued).toBe(4);
    await clock.advance(0);
    expect(refusing.snapshot().context.count).toBe(11);
    expect(dropping.snapshot().context.count).toBe(110);
    expect(host.stats).toMatchObject({ queued: 0, deadLetters: 2, deadLettersBy: { mailboxFull: 2 } });
  });

  test("holds 1,000 events by default", () => {
    const { host } = createWorld();
    const { actor } = spawnCounter(host);
    for (let at = 0; at < 1_000; at++) expect(actor.send({ type: "ADD" })).toBe(true);
    expect(actor.send({ type: "ADD" })).toBe(false);
  });

  test("lets no wrong event near the machine", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    const wrong = [
      null,
      undefined,
      7,
      "ADD",
      {},
      { type: 1 },
      { type: "" },
      { type: "*" },
      { type: "xstate.stop" },
      { type: "xstate.error.actor.x" },
    ];
    for (const event of wrong) expect(host.send("counter", "c1", event as never)).toBe(false);
    await clock.advance(0);
    expect(actor.snapshot().status).toBe("active");
    expect(host.stats).toMatchObject({
      handled: 0,
      restarts: 0,
      deadLettersBy: { notAnEvent: wrong.length },
    });
  });

  test("keeps the order of its events whatever is put in and taken out between", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat())), (steps) => {
        const queue = new RingQueue<number>();
        const model: number[] = [];
        for (const step of steps) {
          if (step === null) expect(queue.shift()).toBe(model.shift());
          else {
            queue.push(step);
            model.push(step);
          }
          expect(queue.size).toBe(model.length);
          expect(queue.peek()).toBe(model[0]);
        }
      }),
    );
  });
});

describe("turns", () => {
  test("an actor that floods itself does not keep another one waiting", async () => {
    const { host, clock } = createWorld({ eventsPerActorMax: 32 });
    const flooding = spawnCounter(host, { id: "flooding" }).actor;
    for (let at = 0; at < 1_000; at++) flooding.send({ type: "ADD" });
    let floodedBefore = -1;
    const quick = spawnCounter(host, {
      id: "quick",
      perform: () => {
        floodedBefore = flooding.snapshot().context.count;
      },
    }).actor;
    quick.send({ type: "SAY", what: "now" });
    await clock.advance(0);
    expect(floodedBefore).toBeLessThanOrEqual(32);
    expect(flooding.snapshot().context.count).toBe(1_000);
  });

  test("an urgent actor goes before all that wait, and comes back to the others", async () => {
    const { host, clock } = createWorld();
    const others = Array.from({ length: 500 }, (_, at) => spawnCounter(host, { id: `other${at}` }).actor);
    let handledBefore = -1;
    const urgent = spawnCounter(host, {
      id: "urgent",
      urgent: true,
      perform: () => {
        handledBefore = others.filter((other) => other.snapshot().context.count > 0).length;
      },
    }).actor;
    await clock.advance(0);
    for (const other of others) other.send({ type: "ADD" });
    urgent.send({ type: "SAY", what: "now" });
    await clock.advance(0);
    expect(handledBefore).toBe(0);
    expect(others.every((other) => other.snapshot().context.count === 1)).toBe(true);
    await host.idle();
  });

  test("end after so many events, and the rest of the process goes on between them", async () => {
    const { host, clock } = createWorld({ eventsPerTurnMax: 100 });
    for (let actor = 0; actor < 10; actor++) {
      spawnCounter(host, { id: `c${actor}` });
      for (let at = 0; at < 99; at++) host.send("counter", `c${actor}`, { type: "ADD" });
    }
    const handledWhen: number[] = [];
    const look = (): void => {
      handledWhen.push(host.stats.handled);
      if (handledWhen.length < 5) clock.setTimer(0, look);
    };
    look();
    await clock.advance(0);
    expect(handledWhen[1]).toBeGreaterThan(0);
    for (let at = 1; at < 5; at++) expect(handledWhen[at]! - handledWhen[at - 1]!).toBeLessThanOrEqual(100);
    expect(host.stats.handled).toBe(990);
  });

  test("end early when they take long by the monotonic clock", async () => {
    const { clock, log } = createWorld();
    let elapsedMs = 0;
    const slow = {
      ...clock,
      nowMs: () => clock.nowMs(),
      monotonicMs: () => elapsedMs,
      setTimer: clock.setTimer.bind(clock),
    };
    const host = createActorHost({ node: "n", clock: slow, random: createSeededRandom(1), log });
    const { actor } = spawnCounter(host, {
      onTransition: () => {
        elapsedMs += 4;
      },
    });
    await clock.advance(0);
    for (let at = 0; at < 10; at++) actor.send({ type: "ADD" });
    const handled: number[] = [];
    const look = (): void => {
      handled.push(host.stats.handled);
      if (host.stats.queued > 0) clock.setTimer(0, look);
    };
    clock.setTimer(0, look);
    await clock.advance(0);
    expect(handled).toEqual([2, 4, 6, 8, 10]);
  });

  test("on the real clock go on until the host is idle", async () => {
    const host = createActorHost({
      node: "n",
      clock: createRealClock(),
      random: createSeededRandom(1),
      log: keptLog(),
    });
    const { actor, said } = spawnCounter(host, { mailbox: { max: 10_000, overflow: "refuse" } });
    for (let at = 0; at < 5_000; at++) actor.send({ type: "ADD" });
    await host.idle();
    expect(actor.snapshot().context.count).toBe(5_000);
    expect(said).toEqual(["hello"]);
    await host.idle();
    host.stop();
  });
});

describe("dead letters", () => {
  test("are counted by reason, the newest 100 are kept, and one line a kind and minute is logged", async () => {
    const { host, clock, log } = createWorld();
    for (let at = 0; at < 150; at++) host.send("nobody", `n${at}`, { type: "HELLO" });
    host.send("nothing", "n", { type: "HELLO" });
    expect(host.stats).toMatchObject({
      deadLetters: 151,
      deadLettersBy: { unknownActor: 151, mailboxFull: 0 },
    });
    const kept = host.deadLetters();
    expect(kept).toHaveLength(100);
    expect(kept.at(-1)).toEqual({ kind: "nothing", id: "n", eventType: "HELLO", why: "unknownActor" });
    expect(log.lines).toHaveLength(2);
    await clock.advance(60_000);
    host.send("nobody", "n", { type: "HELLO" });
    host.send("nobody", "n", { type: "HELLO" });
    expect(log.lines).toHaveLength(3);
  });

  test("stay bounded when somebody makes up kinds and names", () => {
    const { host, log } = createWorld();
    for (let at = 0; at < 1_000; at++) host.send(`kind${at}`, "x".repeat(10_000), { type: "HELLO" });
    expect(log.lines.length).toBeLessThanOrEqual(101);
    expect(JSON.stringify(host.deadLetters()).length).toBeLessThan(50_000);
  });
});

describe("a final state", () => {
  test("is kept until the actor is stopped, its commands are performed, and what comes later is a dead letter", async () => {
    const { host, clock } = createWorld();
    const { actor, said } = spawnCounter(host);
    actor.send({ type: "SAY", what: "bye" });
    actor.send({ type: "END" });
    actor.send({ type: "ADD" });
    await clock.advance(0);
    expect(said).toEqual(["hello", "bye"]);
    expect(actor.snapshot()).toMatchObject({ status: "done", value: "ended", context: { count: 0 } });
    expect(host.find("counter", "c1")).toBe(actor);
    expect(actor.send({ type: "ADD" })).toBe(false);
    expect(host.stats.deadLettersBy).toMatchObject({ final: 2 });
    actor.stop();
    expect(actor.send({ type: "ADD" })).toBe(false);
    expect(host.stats.deadLettersBy).toMatchObject({ final: 2, stopped: 1 });
  });
});

describe("a stopped host", () => {
  test("has no actors and no timers, and starts none", async () => {
    const { host, clock } = createWorld();
    const { actor } = spawnCounter(host);
    actor.send({ type: "ARM", id: "a", delayMs: 1_000 });
    await clock.advance(0);
    actor.send({ type: "ADD" });
    host.stop();
    await host.idle();
    expect(clock.pending).toBe(0);
    expect(host.stats).toMatchObject({ actors: 0, queued: 0 });
    expect(() =>
      host.spawn({ kind: "k", id: "i", machine: counterMachine, perform: () => undefined }),
    ).toThrow("a stopped host");
  });
});
