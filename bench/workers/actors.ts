import { createActor, type Actor as XstateActor } from "xstate";
import { memberMachine, type Sighting } from "../../machines/member.js";
import type { Actor } from "../../src/runtime/actor.js";
import { createActorHost } from "../../src/runtime/actor-host.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import type { Calls } from "../kit/processes.js";
import { healthyReport, settledRecord } from "../kit/reports.js";
import { stderrLog } from "../kit/stderr-log.js";

/** What actors cost in a process of their own. */
export interface ActorCost {
  readonly spawnUs: number;
  readonly eventUs: number;
  readonly bytes: number;
}

export interface ActorCalls extends Calls {
  /** Actors of the host, in its turns. */
  hosted(options: { actors: number; rounds: number }): Promise<ActorCost>;
  /** XState's own actors, each with a system of its own, and an observer without which a failed one ends the process. */
  bare(options: { actors: number; rounds: number }): Promise<ActorCost>;
}

export function createActorCalls(): ActorCalls {
  return {
    hosted: async ({ actors, rounds }) => {
      const host = createActorHost({
        node: "bench",
        clock: createRealClock(),
        random: createRealRandom(),
        log: stderrLog,
      });
      const made: Actor<typeof memberMachine>[] = [];
      const perform = () => undefined;
      const cost = await measure(actors, rounds, {
        spawn: (index) => {
          const record = settledRecord(index);
          made.push(
            host.spawn({ kind: "member", id: record.id, machine: memberMachine, input: { record }, perform }),
          );
        },
        send: (index, sighting) => made[index]!.send({ type: "report", sighting }),
        settled: () => host.idle(),
      });
      host.stop();
      return cost;
    },
    bare: async ({ actors, rounds }) => {
      const made: XstateActor<typeof memberMachine>[] = [];
      const observer = { error: () => undefined };
      return measure(actors, rounds, {
        spawn: (index) => {
          const actor = createActor(memberMachine, { input: { record: settledRecord(index) } });
          actor.subscribe(observer);
          actor.start();
          made.push(actor);
        },
        send: (index, sighting) => made[index]!.send({ type: "report", sighting }),
        settled: () => Promise.resolve(),
      });
    },
  };
}

interface Ways {
  spawn(index: number): void;
  send(index: number, sighting: Sighting): void;
  settled(): Promise<void>;
}

async function measure(actors: number, rounds: number, { spawn, send, settled }: Ways): Promise<ActorCost> {
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const spawnUs = await timed(actors, async () => {
    for (let index = 0; index < actors; index++) spawn(index);
    await settled();
  });
  const { state, ...known } = healthyReport(0, { seq: 0, whole: true });
  if (state === undefined) throw new Error("a whole report has a state");
  const healths = ["HEALTHY", "DEGRADED"] as const;
  const eventUs = await timed(actors * rounds, async () => {
    for (let round = 0; round < rounds; round++) {
      const sighting = { ...known, ledger: "own" as const, state: { ...state, health: healths[round % 2]! } };
      for (let index = 0; index < actors; index++) send(index, sighting);
      await settled();
    }
  });
  globalThis.gc?.();
  return { spawnUs, eventUs, bytes: (process.memoryUsage().heapUsed - heapBefore) / actors };
}

/** Microseconds of processor time a piece. */
async function timed(pieces: number, work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / pieces;
}
