import fc from "fast-check";
import { expect, test } from "vitest";
import { livenessWindowMs } from "../../machines/liveness.js";
import { SilenceWatch } from "../../src/coordinator/silence-watch.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";

const lookEveryMs = 1_000;
const windowMs = livenessWindowMs(2 * lookEveryMs);

test("whoever has missed its reports is told at the look that finds it, however the others report", async () => {
  const reports = fc.array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(reports, { minLength: 1, maxLength: 5 }), async (fleet) => {
      const clock = createVirtualClock();
      const told: [string, number][] = [];
      const watch = new SilenceWatch(clock, {
        onSilent: (instance) => told.push([instance, clock.monotonicMs()]),
        onStall: () => undefined,
      });
      watch.start();
      for (const [at, times] of fleet.entries())
        for (const atMs of times) clock.setTimer(atMs + 0.5, () => watch.hear(`i${at}`));
      await clock.advance(80_000);
      watch.stop();
      expect(told.sort()).toEqual(fleet.flatMap((times, at) => silencesOf(`i${at}`, times)).sort());
    }),
    { numRuns: 200 },
  );
});

/** Each look, and whether the last report before it is a window ago: what a watch would say that looked at all of them each time. */
function silencesOf(instance: string, times: readonly number[]): [string, number][] {
  const silences: [string, number][] = [];
  let silentSinceReport = 0;
  for (let lookMs = lookEveryMs; lookMs <= 80_000; lookMs += lookEveryMs) {
    const last = Math.max(...times.map((atMs) => atMs + 0.5).filter((atMs) => atMs < lookMs), 0);
    if (last === 0 || last === silentSinceReport || lookMs - last < windowMs) continue;
    silentSinceReport = last;
    silences.push([instance, lookMs]);
  }
  return silences;
}
