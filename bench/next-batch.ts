import { type BatchShape, messagesOf } from "./kit/batch-shape.js";
import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import { folderOn, type Storage, startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import { medianOf } from "./kit/stats.js";
import type { BareWriterCalls } from "./workers/bare-writer.js";
import type { CoordinatorCalls, WrittenBatch } from "./workers/coordinator.js";
import type { PuppetCalls } from "./workers/puppets.js";

const instances = 500;
/** How many instances each batch size is rolled out to: its samples are as many as there are batches, but one. */
const sizes = [
  { batch: 1, matching: 25, selector: "few=y" },
  { batch: 10, matching: 200, selector: "some=y" },
  { batch: 50, matching: instances, selector: "all=y" },
] as const;
const rounds = 5;
const bareSamples = 15;
const fleet = "bench";
const bareFleet = "bare0";

/** How soon a batch follows the one before it. */
export const nextBatch: Benchmark = {
  name: "next-batch",
  about:
    "From the last healthy report of a batch to the moment at which the desired states of all of the next batch are at their agents: the instances of " +
    "both are subscribers of one process, so that one clock takes the time. Against the least that it could be: one message to another process, " +
    "which writes one atomic batch with a fence by the client alone, of as many and as large messages as the batch that the coordinator wrote, into a bucket set up " +
    "like the ledger's, until the server has repeated the desired states in it to the same process. All instances of a batch report " +
    "at once. A run is a roll-out (24, 19 or 9 batches, for 1, 10 and 50 instances a batch) and its figure the median of its batches.",
  run: async ({ natsBinary, say }) => {
    const figures: Figure[] = [];
    const notes: string[] = [];
    for (const storage of ["disk", "tmpfs"] as const) {
      if (folderOn(storage) === undefined) notes.push(`There is no ${storage} on this machine.`);
      else figures.push(...(await measure(natsBinary, storage, { say, note: (note) => notes.push(note) })));
    }
    return { figures, notes };
  },
};

async function measure(
  natsBinary: string,
  storage: Storage,
  { say, note }: { say: (sentence: string) => void; note: (note: string) => void },
): Promise<Figure[]> {
  const nats = await startNats(natsBinary, storage);
  const [coordinator, puppets, writer] = await Promise.all([
    Worker.start<CoordinatorCalls>("coordinator"),
    Worker.start<PuppetCalls>("puppets"),
    Worker.start<BareWriterCalls>("bare-writer"),
  ]);
  const access = { url: nats.url, user: nats.user, password: nats.password };
  try {
    await coordinator.call("start", { access, fleet });
    await writer.call("start", { access, fleet: bareFleet });
    const labels = Array.from({ length: instances }, (_, index) => ({
      all: "y",
      some: index < sizes[1].matching ? "y" : "n",
      few: index < sizes[0].matching ? "y" : "n",
    }));
    await puppets.call("start", { access, fleet, labels });
    const measured = sizes.map(() => ({
      ours: [] as number[],
      bare: [] as number[],
      batches: 0,
      messages: 0,
    }));
    for (let round = 0; round <= rounds; round++) {
      for (const [index, { batch, matching, selector }] of sizes.entries()) {
        const version = `v${round}-${batch}`;
        await puppets.call("push", version);
        await coordinator.call("batches", null);
        const ours = medianOf(await puppets.call("rollOut", { version, selector, batch, matching }));
        const written = await coordinator.call("batches", null);
        const shape = telling(written, batch);
        await writer.call("onGo", shape);
        const bare = medianOf(
          await puppets.call("bare", { fleet: bareFleet, desired: batch, samples: bareSamples }),
        );
        say(
          `${storage}, ${batch} a batch: ${ours.toFixed(2)} ms, bare ${bare.toFixed(2)} ms (${messagesOf(shape)} messages)`,
        );
        const figure = measured[index]!;
        // The first round is for the compilers.
        if (round === 0) continue;
        figure.ours.push(ours);
        figure.bare.push(bare);
        figure.messages = messagesOf(shape);
        figure.batches = written.length / (matching / batch);
      }
    }
    return sizes.map(({ batch }, index) => {
      const { ours, bare, messages, batches } = measured[index]!;
      note(
        `${storage}, ${batch} a batch: the coordinator wrote ${batches.toFixed(1)} ledger batches for each batch of the roll-out; ` +
          `the one that tells has ${messages} messages.`,
      );
      return {
        what: `${batch} a batch, the server's files on ${storage}`,
        unit: "ms",
        ours,
        bare: { what: `message + atomic batch of ${messages}`, values: bare },
        ratio: ratios(ours, bare),
        goal: { of: "ratio", below: 3 },
      };
    });
  } finally {
    await Promise.all([coordinator.end(), puppets.end(), writer.end()]);
    await nats.stop();
  }
}

/** The batch that told a whole batch of instances, the middle one of its kind by its number of messages. */
function telling(written: readonly WrittenBatch[], batch: number): BatchShape {
  const whole = written
    .filter(({ desired }) => desired.length === batch)
    .sort((one, other) => messagesOf(one) - messagesOf(other));
  const middle = whole[Math.floor(whole.length / 2)];
  if (middle === undefined) throw new Error(`no ledger batch told ${batch} instances at once`);
  return middle;
}
