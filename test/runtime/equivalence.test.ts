import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor, type EventObject } from "xstate";
import type { ArmedTimer, RestoredState } from "../../src/runtime/actor.js";
import { createActorHost, type InspectableHost } from "../../src/runtime/actor-host.js";
import { plainStateOf } from "../../src/runtime/machine-runner.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock, type VirtualClock } from "../../src/runtime/virtual-clock.js";
import { keptLog } from "./kit.js";
import { type Sample, samples } from "./sample-machines.js";

interface Step {
  readonly waitMs: number;
  readonly event: EventObject;
}

interface Run {
  readonly state: unknown;
  readonly emitted: readonly { readonly atMs: number; readonly command: unknown }[];
}

/** The same log in XState alone, on the same kind of clock. */
async function runBare({ machine, input }: Sample, log: readonly Step[]): Promise<Run> {
  const clock = createVirtualClock();
  const emitted: { atMs: number; command: unknown }[] = [];
  const actor = createActor(machine, {
    input,
    clock: {
      setTimeout: (fire: () => void, delayMs: number) => clock.setTimer(delayMs, fire),
      clearTimeout: (timer: { cancel(): void } | undefined) => timer?.cancel(),
    },
  });
  actor.on("*", (command) => emitted.push({ atMs: clock.nowMs(), command }));
  actor.start();
  for (const { waitMs, event } of log) {
    await clock.advance(waitMs);
    if (actor.getSnapshot().status === "active") actor.send(event);
  }
  await clock.advance(120);
  const { status, output } = actor.getSnapshot();
  return { state: plain({ ...plainStateOf(actor.getSnapshot()), status, output }), emitted };
}

/** A host and one actor on it, which writes down its own record. */
interface Hosted {
  readonly host: InspectableHost;
  send(event: EventObject): void;
  state(): unknown;
  record(): { state: RestoredState; timers: readonly ArmedTimer[] };
}

type MachinesAs = "actors" | "states";

function spawn(
  { machine, input }: Sample,
  {
    clock,
    emitted,
    machinesAs,
  }: { clock: VirtualClock; emitted: Run["emitted"][number][]; machinesAs: MachinesAs },
  restored?: RestoredState,
): Hosted {
  const host = createActorHost({
    node: "n",
    clock,
    random: createSeededRandom(1),
    log: keptLog(),
    machinesAs,
  });
  let record = JSON.stringify(restored ?? null);
  const actor = host.spawn({
    kind: "sample",
    id: "s",
    machine,
    input,
    ...(restored && { restored }),
    perform: (command) => emitted.push({ atMs: clock.nowMs(), command }),
    durable: {
      recordOf: (snapshot, timers) => ({ ...plainStateOf(snapshot), timers }),
      save: async (saved) => {
        record = JSON.stringify(saved);
      },
      onSaveFailed: (error) => expect.fail(String(error)),
    },
  });
  return {
    host,
    send: (event) => void actor.send(event),
    state: () =>
      plain({
        ...plainStateOf(actor.snapshot()),
        status: actor.snapshot().status,
        output: actor.snapshot().output,
      }),
    record: () => JSON.parse(record),
  };
}

/** The same log through a host; before the steps in `restoreAt` its process dies and another goes on from the record. */
async function runHosted(
  sample: Sample,
  log: readonly Step[],
  { machinesAs, restoreAt = new Set() }: { machinesAs: MachinesAs; restoreAt?: ReadonlySet<number> },
): Promise<Run> {
  const emitted: Run["emitted"][number][] = [];
  let clock = createVirtualClock();
  let hosted = spawn(sample, { clock, emitted, machinesAs });
  for (const [at, { waitMs, event }] of log.entries()) {
    await clock.advance(waitMs);
    if (restoreAt.has(at)) {
      const record = hosted.record();
      hosted.host.stop();
      clock = createVirtualClock({ startMs: clock.nowMs() });
      hosted = spawn(sample, { clock, emitted, machinesAs }, record as unknown as RestoredState);
      await clock.advance(0);
    }
    hosted.send(event);
    await clock.advance(0);
  }
  await clock.advance(120);
  return { state: hosted.state(), emitted };
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function logOf(sample: Sample): fc.Arbitrary<Step[]> {
  const waitMs = fc.oneof(
    fc.constant(0),
    fc.constantFrom(50, 100, 150, 250),
    fc.integer({ min: 1, max: 600 }),
  );
  return fc.array(fc.record({ waitMs, event: fc.constantFrom(...sample.events) }), { maxLength: 25 });
}

const kinds = samples.flatMap((sample) =>
  (["actors", "states"] as const).map((machinesAs) => [sample.machine.id, machinesAs, sample] as const),
);

describe.each(kinds)("random events and times, %s as %s:", (_, machinesAs, sample) => {
  test("the host and XState alone end in the same state, with the same commands at the same times", async () => {
    await fc.assert(
      fc.asyncProperty(logOf(sample), async (log) => {
        expect(await runHosted(sample, log, { machinesAs })).toEqual(await runBare(sample, log));
      }),
      { numRuns: 150 },
    );
  });

  test("so they do when the process dies at any points of the log and goes on from the record", async () => {
    await fc.assert(
      fc.asyncProperty(logOf(sample), fc.array(fc.nat(24), { maxLength: 4 }), async (log, points) => {
        const restoreAt = new Set(points);
        expect(await runHosted(sample, log, { machinesAs, restoreAt })).toEqual(await runBare(sample, log));
      }),
      { numRuns: 150 },
    );
  });
});
