import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import { Worker } from "./kit/processes.js";
import type { SimulatorCalls, SimulatorCost } from "./workers/simulator.js";

const runs = 3;
const sizes = [1_000, 10_000, 100_000] as const;
const callMaxMs = 900_000;

/** What a rehearsal costs, beside XState alone, and how that grows with the fleet. */
export const simulator: Benchmark = {
  name: "simulator",
  about:
    "One rehearsal of a roll-out, 5 % at a time, of 1,000, 10,000 and 100,000 instances, each in a process of its own. Beside that of 1,000: XState's own " +
    "actors on the same virtual clock, as many of them and as many events handled as by the actors of the rehearsal's coordinator. Processor time, garbage collection included.",
  run: async ({ say }) => {
    const ours: SimulatorCost[] = [];
    const bare: SimulatorCost[] = [];
    for (let run = 0; run < runs; run++) {
      const cost = await alone((worker) =>
        worker.call("rehearse", { instances: sizes[0] }, { timeoutMs: callMaxMs }),
      );
      ours.push(cost);
      const { transitions } = cost;
      bare.push(
        await alone((worker) =>
          worker.call("bare", { instances: sizes[0], transitions }, { timeoutMs: callMaxMs }),
        ),
      );
      say(`${JSON.stringify(cost)}, bare ${JSON.stringify(bare.at(-1))}`);
    }
    const seconds = ({ cpuSeconds }: SimulatorCost) => cpuSeconds;
    const figures: Figure[] = [
      {
        what: "one run of 1,000 instances",
        unit: "s",
        ours: ours.map(seconds),
        bare: { what: "XState alone, as many transitions", values: bare.map(seconds) },
        ratio: ratios(ours.map(seconds), bare.map(seconds)),
        goal: { of: "ratio", below: 3 },
      },
    ];
    for (const instances of sizes) {
      const cost = await alone((worker) => worker.call("rehearse", { instances }, { timeoutMs: callMaxMs }));
      say(`${instances}: ${JSON.stringify(cost)}`);
      const name = `${instances.toLocaleString("en-US")} instances`;
      figures.push(
        { what: `${name}, each`, unit: "µs", ours: [(cost.cpuSeconds * 1e6) / instances] },
        {
          what: `${name}, in all`,
          unit: "s",
          ours: [cost.wallSeconds],
          ...(instances === 100_000 && { goal: { of: "ours", below: 60 } as const }),
        },
        {
          what: `${name}, memory`,
          unit: "MB",
          ours: [cost.maxRssMb],
          ...(instances === 100_000 && { goal: { of: "ours", below: 2_048 } as const }),
        },
      );
    }
    return { figures, notes: [] };
  },
};

async function alone(
  ask: (worker: Worker<SimulatorCalls>) => Promise<SimulatorCost>,
): Promise<SimulatorCost> {
  const worker = await Worker.start<SimulatorCalls>("simulator");
  try {
    return await ask(worker);
  } finally {
    await worker.end();
  }
}
