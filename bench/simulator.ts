import { messageOf } from "../src/base/errors.js";
import { memoryFor } from "../src/simulator/plan.js";
import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import { Worker } from "./kit/processes.js";
import type { SimulatorCalls, SimulatorCost } from "./workers/simulator.js";

const repeats = 3;
/** A rehearsal is many runs: so many one after another in each process, the first of them cold. */
const runs = 10;
const lives = 5;
const livesInstances = 200;
const sizes = [1_000, 10_000, 100_000] as const;
/** Whatever is not done by then is said not to be. */
const callMaxMs = 180_000;

/** What rehearsals and random lives cost, beside XState alone, and how that grows with the fleet. */
export const simulator: Benchmark = {
  name: "simulator",
  about:
    "Rehearsals of a roll-out, 5 % at a time: ten runs of 1,000 instances, beside XState's own actors on the same virtual clock, as many of them, as often, and with as many " +
    "events handled as by the actors of the rehearsals; the same for random lives with faults and all invariants; runs of 1,000, 10,000 and 100,000 instances; and 50 runs " +
    "of 1,000 on all cores, as the command plays them. Each in a process of its own, with the memory that the command gives to its threads. Processor time, garbage collection included.",
  run: async ({ say }) => {
    const figures: Figure[] = [
      await besideBare(say, {
        what: `${runs} runs of 1,000 instances`,
        below: 3,
        bare: { instances: sizes[0], runs },
        ours: (worker) => worker.call("rehearse", { instances: sizes[0], runs }, { timeoutMs: callMaxMs }),
      }),
      await besideBare(say, {
        what: `${lives} random lives, all invariants`,
        below: 8,
        bare: { instances: livesInstances, runs: lives },
        ours: (worker) => worker.call("lives", { seeds: lives }, { timeoutMs: callMaxMs }),
      }),
    ];
    const notes = [
      "Each size is one run of a process that has just begun: of 1,000 instances the first second goes into compiling the program.",
    ];
    for (const instances of sizes) {
      try {
        const cost = await alone(instances, (worker) =>
          worker.call("rehearse", { instances, runs: 1 }, { timeoutMs: callMaxMs }),
        );
        say(`${instances}: ${JSON.stringify(cost)}`);
        figures.push(...costOf(instances, cost));
      } catch (error) {
        notes.push(
          `A rehearsal of ${instances.toLocaleString("en-US")} instances came to nothing: ${messageOf(error)}.`,
        );
      }
    }
    const fifty = await alone(sizes[0], (worker) =>
      worker.call("rehearseOnThreads", { instances: sizes[0], runs: 50 }, { timeoutMs: callMaxMs }),
    );
    figures.push({
      what: "50 runs of 1,000 instances, all cores",
      unit: "s",
      ours: [fifty.wallSeconds],
      goal: { of: "ours", below: 30 },
    });
    return { figures, notes };
  },
};

interface Comparison {
  readonly what: string;
  readonly below: number;
  readonly bare: { readonly instances: number; readonly runs: number };
  readonly ours: (worker: Worker<SimulatorCalls>) => Promise<SimulatorCost>;
}

async function besideBare(
  say: (sentence: string) => void,
  { what, below, bare, ours }: Comparison,
): Promise<Figure> {
  const costs: SimulatorCost[] = [];
  const bareCosts: SimulatorCost[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const cost = await alone(bare.instances, ours);
    const { transitions } = cost;
    const bareCost = await alone(bare.instances, (worker) =>
      worker.call("bare", { ...bare, transitions }, { timeoutMs: callMaxMs }),
    );
    costs.push(cost);
    bareCosts.push(bareCost);
    say(`${what}: ${JSON.stringify(cost)}, bare ${JSON.stringify(bareCost)}`);
  }
  const [seconds, bareSeconds] = [costs, bareCosts].map((some) => some.map(({ cpuSeconds }) => cpuSeconds));
  return {
    what,
    unit: "s",
    ours: seconds ?? [],
    bare: { what: "XState alone, as many transitions", values: bareSeconds ?? [] },
    ratio: ratios(seconds ?? [], bareSeconds ?? []),
    goal: { of: "ratio", below },
  };
}

function costOf(instances: number, cost: SimulatorCost): Figure[] {
  const name = `${instances.toLocaleString("en-US")} instances`;
  const isLargest = instances === sizes.at(-1);
  return [
    { what: `${name}, each`, unit: "µs", ours: [(cost.cpuSeconds * 1e6) / instances] },
    {
      what: `${name}, in all`,
      unit: "s",
      ours: [cost.wallSeconds],
      ...(isLargest && { goal: { of: "ours", below: 60 } as const }),
    },
    {
      what: `${name}, memory`,
      unit: "MiB",
      ours: [cost.maxRssMiB],
      ...(isLargest && { goal: { of: "ours", below: 2_048 } as const }),
    },
  ];
}

/** In a process that may hold what a thread of the command may. */
async function alone(
  instances: number,
  ask: (worker: Worker<SimulatorCalls>) => Promise<SimulatorCost>,
): Promise<SimulatorCost> {
  const { youngMiB, oldMiB } = memoryFor(instances);
  // The young generation is three semi-spaces.
  const flags = [`--max-semi-space-size=${youngMiB / 3}`, `--max-old-space-size=${oldMiB}`];
  const worker = await Worker.start<SimulatorCalls>("simulator", flags);
  try {
    return await ask(worker);
  } finally {
    await worker.end();
  }
}
