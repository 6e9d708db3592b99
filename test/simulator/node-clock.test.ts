import { expect, test } from "vitest";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { NodeClock } from "../../src/simulator/node-clock.js";

const hourMs = 3_600_000;

test("a clock without a fault shows the time of the world, and rings with it", async () => {
  const world = createVirtualClock();
  await world.advance(0.5);
  const clock = new NodeClock(world);
  const rung: number[] = [];
  clock.setTimer(1_000, () => rung.push(world.monotonicMs()));
  await world.advance(hourMs);
  expect(rung).toEqual([1_000.5]);
  expect(clock.nowMs()).toBe(world.nowMs());
  expect(clock.monotonicMs()).toBe(world.monotonicMs());
});

test.each([500, -500])(
  "a clock that drifts by %d ppm is off by as much after an hour, wall and monotonic time alike",
  async (driftPpm) => {
    const world = createVirtualClock();
    await world.advance(hourMs);
    const clock = new NodeClock(world, { driftPpm });
    expect(clock.nowMs()).toBe(world.nowMs());
    await world.advance(hourMs);
    const offMs = driftPpm * 3.6;
    expect(clock.nowMs() - world.nowMs()).toBe(offMs);
    expect(clock.monotonicMs() - world.monotonicMs()).toBeCloseTo(offMs, 6);
  },
);

test.each([333, -333, 0])(
  "with %d ppm a timer rings when the own clock says so, never a hair early",
  async (driftPpm) => {
    const world = createVirtualClock();
    await world.advance(123.4);
    const clock = new NodeClock(world, { driftPpm });
    const early: number[] = [];
    let rings = 0;
    const every = (delayMs: number): void => {
      const dueMs = clock.monotonicMs() + delayMs;
      clock.setTimer(delayMs, () => {
        rings++;
        if (clock.monotonicMs() < dueMs) early.push(dueMs - clock.monotonicMs());
        every(delayMs);
      });
    };
    every(33.3);
    every(1_000);
    await world.advance(hourMs);
    expect(early).toEqual([]);
    expect(rings).toBeGreaterThan(3_600 + 108_000);
  },
);

test("ten thousand seconds of a fast clock are over earlier in the world", async () => {
  const world = createVirtualClock();
  const clock = new NodeClock(world, { driftPpm: 1_000 });
  let rungAtMs = 0;
  clock.setTimer(10_000_000, () => {
    rungAtMs = world.monotonicMs();
  });
  await world.advance(10_000_000);
  expect(rungAtMs).toBeCloseTo(10_000_000 / 1.001, 3);
});

test("a wall clock that is put back or forward moves no timer and no monotonic time", async () => {
  const world = createVirtualClock();
  const clock = new NodeClock(world);
  const rung: number[] = [];
  clock.setTimer(1_000, () => rung.push(clock.monotonicMs()));
  clock.stepWall(-hourMs);
  await world.advance(500);
  expect(clock.nowMs()).toBe(world.nowMs() - hourMs);
  clock.stepWall(2 * hourMs);
  await world.advance(500);
  expect(clock.nowMs()).toBe(world.nowMs() + hourMs);
  expect(rung).toEqual([1_000]);
});

test("what is due while a process stands happens at once afterwards, in order; of a dead one nothing does", async () => {
  const world = createVirtualClock();
  const clock = new NodeClock(world);
  const rung: [string, number][] = [];
  clock.setTimer(20, () => rung.push(["second", world.monotonicMs()]));
  clock.setTimer(10, () => rung.push(["first", world.monotonicMs()]));
  clock.setTimer(2_000, () => rung.push(["late", world.monotonicMs()]));
  clock.stall(1_000);
  clock.stall(500);
  await world.advance(1_500);
  expect(rung).toEqual([
    ["first", 1_000],
    ["second", 1_000],
  ]);
  clock.die();
  await world.advance(1_500);
  expect(rung).toHaveLength(2);
});
