import { type Benchmark, ratios } from "./kit/benchmark.js";
import { Worker } from "./kit/processes.js";
import type { ActorCalls, ActorCost } from "./workers/actors.js";

const actors = 20_000;
const rounds = 10;
const runs = 5;

/** What the actor host costs over XState alone. */
export const runtime: Benchmark = {
  name: "runtime",
  about:
    `${actors.toLocaleString("en-US")} actors of the machine of a fleet's member, each with an observer of errors, in a process of its own: made, and then ${rounds} events each that change ` +
    "its state. In the actor host an event waits in a mailbox for its turn; XState alone takes it on the stack of whoever sends it. Processor time, garbage " +
    "collection included, and the heap that is left after a collection.",
  run: async ({ say }) => {
    const ours: ActorCost[] = [];
    const bare: ActorCost[] = [];
    for (let run = 0; run < runs; run++) {
      ours.push(await alone("hosted"));
      bare.push(await alone("bare"));
      say(`${JSON.stringify(ours.at(-1))}, bare ${JSON.stringify(bare.at(-1))}`);
    }
    const figure = (what: string, unit: string, value: (cost: ActorCost) => number) => ({
      what,
      unit,
      ours: ours.map(value),
      bare: { what: "XState alone", values: bare.map(value) },
      ratio: ratios(ours.map(value), bare.map(value)),
    });
    return {
      figures: [
        figure("spawn", "µs", ({ spawnUs }) => spawnUs),
        figure("send and handle one event", "µs", ({ eventUs }) => eventUs),
        figure("heap", "bytes/actor", ({ bytes }) => bytes),
      ],
      notes: [],
    };
  },
};

/** A process for each, so that neither finds the other's garbage or compiled code. */
async function alone(way: "hosted" | "bare"): Promise<ActorCost> {
  const worker = await Worker.start<ActorCalls>("actors", ["--expose-gc"]);
  try {
    return await worker.call(way, { actors, rounds });
  } finally {
    await worker.end();
  }
}
