import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRealRandom, createSeededRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";

describe("the virtual clock", () => {
  test("stands still until it is advanced", async () => {
    const clock = createVirtualClock({ startMs: 5_000 });
    expect(clock.nowMs()).toBe(5_000);
    expect(clock.monotonicMs()).toBe(0);
    await clock.advance(250);
    expect(clock.nowMs()).toBe(5_250);
    expect(clock.monotonicMs()).toBe(250);
    await clock.advanceTo(6_000);
    expect(clock.nowMs()).toBe(6_000);
  });

  test("fires a timer at its deadline, never synchronously, once", async () => {
    const clock = createVirtualClock({ startMs: 0 });
    const fired: number[] = [];
    clock.setTimer(0, () => fired.push(clock.nowMs()));
    clock.setTimer(100, () => fired.push(clock.nowMs()));
    expect(fired).toEqual([]);
    await clock.advance(0);
    expect(fired).toEqual([0]);
    await clock.advance(99);
    expect(fired).toEqual([0]);
    await clock.advance(1_000);
    expect(fired).toEqual([0, 100]);
    expect(clock.pending).toBe(0);
  });

  test("a timer that arms itself again fires ten times in ten intervals of one advance", async () => {
    const clock = createVirtualClock({ startMs: 0 });
    const fired: number[] = [];
    const arm = () =>
      void clock.setTimer(100, () => {
        fired.push(clock.nowMs());
        arm();
      });
    arm();
    await clock.advance(1_000);
    expect(fired).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
  });

  test("promise chains settle before the next timer fires", async () => {
    const clock = createVirtualClock();
    const order: string[] = [];
    clock.setTimer(10, () => {
      void (async () => {
        for (let step = 0; step < 20; step++) await Promise.resolve();
        order.push("chain of the first");
        clock.setTimer(0, () => order.push("timer of the chain"));
      })();
    });
    clock.setTimer(10.5, () => order.push("second"));
    await clock.advance(11);
    expect(order).toEqual(["chain of the first", "timer of the chain", "second"]);
  });

  test("a cancelled timer is not pending and does not fire, and cancelling again does nothing", async () => {
    const clock = createVirtualClock();
    let fired = 0;
    const timer = clock.setTimer(10, () => fired++);
    const other = clock.setTimer(10, () => fired++);
    timer.cancel();
    timer.cancel();
    expect(clock.pending).toBe(1);
    await clock.advance(10);
    other.cancel();
    expect(fired).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test("runs until a condition holds, and no further", async () => {
    const clock = createVirtualClock({ startMs: 0 });
    let count = 0;
    const arm = () =>
      void clock.setTimer(10, () => {
        count++;
        arm();
      });
    arm();
    await clock.runUntil(() => count === 7, { limitMs: 1_000 });
    expect(clock.nowMs()).toBe(70);
  });

  test("says so when a condition does not come to hold", async () => {
    const clock = createVirtualClock({ startMs: 0 });
    await expect(clock.runUntil(() => false, { limitMs: 1_000 })).rejects.toThrow(
      "after 1000 ms of virtual time",
    );
    expect(clock.nowMs()).toBe(1_000);
    await clock.runUntil(() => true, { limitMs: 0 });
  });

  test("what a timer throws comes out of advance, and the clock goes on afterwards", async () => {
    const clock = createVirtualClock();
    clock.setTimer(1, () => {
      throw new Error("broken timer");
    });
    let fired = false;
    clock.setTimer(2, () => {
      fired = true;
    });
    await expect(clock.advance(5)).rejects.toThrow("broken timer");
    await clock.advance(5);
    expect(fired).toBe(true);
  });

  test("timers fire in the order of deadline, then of setting, whatever is cancelled in between", async () => {
    const delays = fc.array(
      fc.record({ delayMs: fc.integer({ min: 0, max: 20 }), cancelled: fc.boolean() }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(delays, async (timers) => {
        const clock = createVirtualClock({ startMs: 0 });
        const fired: { at: number; index: number }[] = [];
        const set = timers.map(({ delayMs }, index) =>
          clock.setTimer(delayMs, () => fired.push({ at: clock.nowMs(), index })),
        );
        for (const [index, { cancelled }] of timers.entries()) if (cancelled) set[index]?.cancel();
        await clock.advance(20);
        const expected = timers
          .map(({ delayMs, cancelled }, index) => ({ at: delayMs, index, cancelled }))
          .filter(({ cancelled }) => !cancelled)
          .sort((a, b) => a.at - b.at || a.index - b.index)
          .map(({ at, index }) => ({ at, index }));
        expect(fired).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });
});

describe("the real clock", () => {
  test("fires in a later turn, measures without going back, and cancels", async () => {
    const clock = createRealClock();
    const startMs = clock.monotonicMs();
    let turn = "same";
    const never = [
      clock.setTimer(0, () => expect.unreachable()),
      clock.setTimer(1, () => expect.unreachable()),
    ];
    for (const timer of never) timer.cancel();
    await new Promise<void>((resolve) => {
      clock.setTimer(0, () => {
        expect(turn).toBe("later");
        resolve();
      });
      turn = "later";
    });
    await new Promise<void>((resolve) => clock.setTimer(20, resolve));
    expect(clock.monotonicMs() - startMs).toBeGreaterThan(18);
  });

  test("a delay beyond the limit of setTimeout does not fire at once", async () => {
    const clock = createRealClock();
    const timer = clock.setTimer(2 ** 31 + 1_000, () => expect.unreachable());
    await new Promise<void>((resolve) => clock.setTimer(30, resolve));
    timer.cancel();
  });
});

describe("randomness", () => {
  test("ids are 22 letters and digits, and differ", () => {
    for (const random of [createRealRandom(), createSeededRandom(1)]) {
      const ids = Array.from({ length: 1_000 }, () => random.id());
      for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9]{22}$/);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });

  test("numbers lie in [0, 1) and spread", () => {
    for (const random of [createRealRandom(), createSeededRandom("spread")]) {
      const numbers = Array.from({ length: 2_000 }, () => random.unit());
      expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
      const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
    }
  });

  test("a seed gives the same numbers again, and a fork does not depend on what was drawn before", () => {
    const draw = (seed: number, before: number) => {
      const random = createSeededRandom(seed);
      for (let count = 0; count < before; count++) random.unit();
      const fork = random.fork("agent").fork("a1");
      return [fork.id(), fork.unit(), fork.unit()];
    };
    expect(draw(7, 0)).toEqual(draw(7, 13));
    expect(draw(7, 0)).not.toEqual(draw(8, 0));
    expect(createSeededRandom(7).fork("a").id()).not.toBe(createSeededRandom(7).fork("b").id());
  });
});
