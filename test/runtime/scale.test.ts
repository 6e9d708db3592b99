import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { setup } from "xstate";
import { createWorld, spawnCounter } from "./kit.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const waiting = setup({
  types: {} as { context: { count: number }; events: { type: "BEAT" } },
}).createMachine({
  id: "waiting",
  context: { count: 0 },
  initial: "up",
  states: { up: { on: { BEAT: { target: "up", reenter: true } }, after: { 5000: "silent" } }, silent: {} },
});

const perform = (): undefined => undefined;

test("50,000 actors with a delayed transition each stay small", async () => {
  const { host, clock } = createWorld();
  const actorsMax = 50_000;
  host.spawn({ kind: "member", id: "first", machine: waiting, perform });
  await clock.advance(0);
  const before = heapBytes();
  for (let at = 1; at < actorsMax; at++)
    host.spawn({ kind: "member", id: `m${at}`, machine: waiting, perform });
  for (const actor of host.list("member")) actor.send({ type: "BEAT" });
  await clock.advance(100);
  const bytes = (heapBytes() - before) / (actorsMax - 1);
  console.log(`an actor with a used mailbox and an armed timer takes ${Math.round(bytes)} bytes of heap`);
  expect(host.stats).toMatchObject({ actors: actorsMax, handled: actorsMax, queued: 0 });
  expect(bytes).toBeLessThan(8_192);
  host.stop();
  expect(clock.pending).toBe(0);
}, 120_000);

test("10,000 actors that came and went leave nothing behind", async () => {
  const { host, clock } = createWorld();
  const cycle = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const { actor } = spawnCounter(host, { id: `c${at}` });
      actor.send({ type: "ARM", id: "a", delayMs: 60_000 });
      if (at % 3 === 0) actor.send({ type: "BOOM" });
      if (at % 100 === 0) await clock.advance(0);
      actor.stop();
    }
    await clock.advance(0);
  };
  await cycle(1_000);
  const before = heapBytes();
  await cycle(10_000);
  const grownBytes = heapBytes() - before;
  console.log(`after 10,000 actors the heap has grown by ${grownBytes} bytes`);
  expect(clock.pending).toBe(0);
  expect(host.stats).toMatchObject({ actors: 0, queued: 0 });
  expect(grownBytes).toBeLessThan(1_000_000);
}, 120_000);
