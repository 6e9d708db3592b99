import type { Benchmark } from "./kit/benchmark.js";
import { ratios } from "./kit/benchmark.js";
import { startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import type { CoordinatorCalls } from "./workers/coordinator.js";
import type { PublisherCalls } from "./workers/publisher.js";
import type { SubscriberCalls } from "./workers/subscriber.js";

const instances = 100_000;
const perSecond = 10_000;
/** All have reported once by then. */
const warmUpSeconds = 12;
const windows = 3;
const windowSeconds = 20;
const bareWindows = 3;
const bareWindowSeconds = 5;
const fleet = "bench";
const bareFleet = "bare0";

/** What a large calm fleet costs. */
export const load: Benchmark = {
  name: "load",
  about:
    "A coordinator that leads 100,000 instances, of which 10,000 report in a second, as the coordinator itself asks a fleet of that size " +
    "to: each every 10 s, every tenth report with the whole state. Processor time of its process, all of it (reports, " +
    `the lease, the search for silent ones, garbage collection), in ${windows} windows of ${windowSeconds} s, and its memory at the end; beside it a bare ` +
    "subscriber that parses the same messages.",
  run: async ({ natsBinary, say }) => {
    const nats = await startNats(natsBinary, "disk");
    const [coordinator, subscriber, publisher] = await Promise.all([
      Worker.start<CoordinatorCalls>("coordinator", ["--expose-gc"]),
      Worker.start<SubscriberCalls>("subscriber", ["--expose-gc"]),
      Worker.start<PublisherCalls>("publisher"),
    ]);
    const access = { url: nats.url, user: nats.user, password: nats.password };
    try {
      say(`writing ${instances} instances into the ledger`);
      // Not by the process whose memory is measured.
      const seeder = await Worker.start<CoordinatorCalls>("coordinator");
      await seeder.call("seed", { access, fleet, instances });
      await seeder.end();
      await coordinator.call("start", { access, fleet });
      await subscriber.call("start", { access, fleet: bareFleet });
      await publisher.call("start", { access, instances });
      const shares = async (
        worker: Worker<CoordinatorCalls> | Worker<SubscriberCalls>,
        options: { to: string; warmUpSeconds: number; windows: number; windowSeconds: number },
      ) => {
        await publisher.call("pace", { fleet: options.to, perSecond });
        await worker.call("usage", options.warmUpSeconds);
        const measured: number[] = [];
        for (let window = 0; window < options.windows; window++) {
          const { cpuMs, wallMs } = await worker.call("usage", options.windowSeconds);
          measured.push((cpuMs / wallMs) * 100);
          say(`${measured.at(-1)?.toFixed(1)} % of a core for ${options.to}`);
        }
        const { sent, due } = await publisher.call("stop", null);
        if (sent < due * 0.99)
          throw new Error(`only ${sent} of ${due} reports could be sent: the machine is too busy`);
        return measured;
      };
      const bare = await shares(subscriber, {
        to: bareFleet,
        warmUpSeconds: 2,
        windows: bareWindows,
        windowSeconds: bareWindowSeconds,
      });
      const ours = await shares(coordinator, { to: fleet, warmUpSeconds, windows, windowSeconds });
      const heard = await coordinator.call("heard", { sample: 100, instances });
      if (heard.healthy < 100 || heard.oldestMs > 15_000)
        throw new Error(`not all reports were taken in: ${JSON.stringify(heard)}`);
      const memory = {
        ours: await coordinator.call("memory", null),
        bare: await subscriber.call("memory", null),
      };
      const of = "subscriber + JSON.parse";
      return {
        figures: [
          {
            what: "10,000 reports a second",
            unit: "% of a core",
            ours,
            bare: { what: of, values: bare },
            ratio: ratios(ours, bare),
            goal: { of: "ours", below: 25 },
          },
          {
            what: "memory: the most that was resident, the takeover included",
            unit: "MiB",
            ours: [memory.ours.peakRssMiB],
            bare: { what: of, values: [memory.bare.peakRssMiB] },
            goal: { of: "ours", below: 1_024 },
          },
          {
            what: "memory: resident at the end",
            unit: "MiB",
            ours: [memory.ours.rssMiB],
            bare: { what: of, values: [memory.bare.rssMiB] },
          },
          {
            what: "memory: JavaScript heap at the end, after a collection",
            unit: "MiB",
            ours: [memory.ours.heapMiB],
            bare: { what: of, values: [memory.bare.heapMiB] },
          },
        ],
        notes: [],
      };
    } finally {
      await Promise.all([coordinator.end(), subscriber.end(), publisher.end()]);
      await nats.stop();
    }
  },
};
