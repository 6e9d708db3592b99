import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import type { Metered } from "./kit/meter.js";
import { startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import type { CoordinatorCalls } from "./workers/coordinator.js";
import type { PublisherCalls, ReportKind } from "./workers/publisher.js";
import type { SubscriberCalls } from "./workers/subscriber.js";

const instances = 100_000;
const pairsOfSame = 5;
const pairsOfChanged = 3;
const fleet = "bench";
const bareFleet = "bare0";

/** How fast the coordinator of a large fleet takes reports in. */
export const intake: Benchmark = {
  name: "intake",
  about:
    "Reports taken in by a coordinator that leads 100,000 instances, each known to it and an actor, against a bare " +
    "subscriber of the NATS client that parses the same JSON. One publisher process sends both the same bytes through the " +
    "same server, as fast as they take them; a run is 200,000 messages to one and then to the other. Where a machine has fewer " +
    "cores than these three processes want, the rates come closer to each other than they are: the processor time a " +
    "message shows the difference in full.",
  run: async ({ natsBinary, say }) => {
    const nats = await startNats(natsBinary, "disk");
    const [coordinator, subscriber, publisher] = await Promise.all([
      Worker.start<CoordinatorCalls>("coordinator"),
      Worker.start<SubscriberCalls>("subscriber"),
      Worker.start<PublisherCalls>("publisher"),
    ]);
    const access = { url: nats.url, user: nats.user, password: nats.password };
    try {
      say(`writing ${instances} instances into the ledger`);
      const seedMs = await coordinator.call("seed", { access, fleet, instances });
      say(`took ${Math.round(seedMs)} ms; the coordinator takes them over`);
      const takeoverMs = await coordinator.call("start", { access, fleet });
      say(`took ${Math.round(takeoverMs)} ms`);
      await subscriber.call("start", { access, fleet: bareFleet });
      await publisher.call("start", { access, instances });

      const pair = async (kind: ReportKind, rounds: number) => {
        const count = await publisher.call("prepare", { kind, rounds });
        const measured = async (worker: Worker<CoordinatorCalls> | Worker<SubscriberCalls>, to: string) => {
          const metered = worker.call("measure", count);
          await publisher.call("burst", { fleet: to });
          return costOf(await metered, count);
        };
        const bare = await measured(subscriber, bareFleet);
        const ours = await measured(coordinator, fleet);
        say(`${kind}: ${Math.round(ours.perSecond)} reports a second, bare ${Math.round(bare.perSecond)}`);
        return { ours, bare };
      };
      const first = [await pair("first", 1)];
      const same = [];
      // The first is for the compiler.
      for (let run = 0; run <= pairsOfSame; run++) same.push(await pair("same", 2));
      const changed = [];
      for (let run = 0; run < pairsOfChanged; run++) changed.push(await pair("changed", 1));
      const heard = await coordinator.call("heard", { sample: 100, instances });
      if (heard.healthy < 100 || heard.oldestMs > 10_000)
        throw new Error(`not all reports were taken in: ${JSON.stringify(heard)}`);
      return {
        figures: [
          ...figuresOf("reports that repeat what is known, every tenth whole", same.slice(1), 0.5),
          ...figuresOf("reports of which each says something new", changed),
          ...figuresOf("first reports after a takeover", first),
          {
            what: "takeover: from the start of the process's coordinator until it leads with all records read",
            unit: "ms",
            ours: [takeoverMs],
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

interface Cost {
  readonly perSecond: number;
  readonly cpuUs: number;
}

function costOf({ wallMs, cpuMs }: Metered, count: number): Cost {
  return { perSecond: count / (wallMs / 1_000), cpuUs: (cpuMs * 1_000) / count };
}

function figuresOf(what: string, pairs: readonly { ours: Cost; bare: Cost }[], atLeast?: number): Figure[] {
  const rate = {
    ours: pairs.map(({ ours }) => ours.perSecond),
    bare: pairs.map(({ bare }) => bare.perSecond),
  };
  const cpu = { ours: pairs.map(({ ours }) => ours.cpuUs), bare: pairs.map(({ bare }) => bare.cpuUs) };
  return [
    {
      what,
      unit: "reports/s",
      ours: rate.ours,
      bare: { what: "subscriber + JSON.parse", values: rate.bare },
      ratio: ratios(rate.ours, rate.bare),
      ...(atLeast !== undefined && { goal: { of: "ratio", atLeast } }),
    },
    {
      what: `${what}: processor time`,
      unit: "µs/report",
      ours: cpu.ours,
      bare: { what: "subscriber + JSON.parse", values: cpu.bare },
      ratio: ratios(cpu.ours, cpu.bare),
    },
  ];
}
