import { setTimeout as pause } from "node:timers/promises";
import { missedReportsMax, reportIntervalMs } from "../machines/liveness.js";
import { type Client, connectNatsBus, createClient } from "../src/index.js";
import type { Figure } from "./kit/benchmark.js";
import type { BenchNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import { instanceName } from "./kit/reports.js";
import { medianOf } from "./kit/stats.js";
import { until } from "./kit/until.js";
import type { CoordinatorCalls } from "./workers/coordinator.js";
import type { PublisherCalls } from "./workers/publisher.js";

const sizes = [1_000, 10_000] as const;
const victims = 10;
const lookEveryMs = 20;
const warmUpMs = 6_000;
/** So much longer it may take with ten times as many instances. */
const growthMax = 1.1;

/** How long it takes until an instance that reports no more is UNKNOWN, and how that grows with the fleet. */
export async function detection(nats: BenchNats, say: (sentence: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  const medians: number[] = [];
  for (const instances of sizes) {
    const tookMs = await detected(nats, instances);
    say(`${instances} instances: ${tookMs.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    medians.push(medianOf(tookMs));
    figures.push({
      what: `an instance of ${instances.toLocaleString("en-US")} dies, until it is UNKNOWN`,
      unit: "ms",
      ours: tookMs,
      bare: {
        what: `${missedReportsMax} missed reports`,
        values: [missedReportsMax * reportIntervalMs(instances)],
      },
    });
  }
  const [few = Number.NaN, many = Number.NaN] = medians;
  const what = "ten times as many instances: so many times as long";
  return [...figures, { what, unit: "", ours: [many / few], goal: { of: "ours", below: growthMax } }];
}

async function detected(nats: BenchNats, instances: number): Promise<number[]> {
  const fleet = `detection-${instances}`;
  const access = { url: nats.url, user: nats.user, password: nats.password };
  const [coordinator, publisher] = await Promise.all([
    Worker.start<CoordinatorCalls>("coordinator"),
    Worker.start<PublisherCalls>("publisher"),
  ]);
  const bus = await connectNatsBus({ servers: nats.url, user: nats.user, pass: nats.password });
  const client = createClient({ bus, fleet });
  try {
    await coordinator.call("seed", { access, fleet, instances });
    await coordinator.call("start", { access, fleet });
    await publisher.call("start", { access, instances });
    await publisher.call("pace", { fleet, perSecond: (instances * 1_000) / reportIntervalMs(instances) });
    await until(
      "all instances have reported",
      async () => (await client.status.get()).instances.UNKNOWN === 0,
    );
    await pause(warmUpMs);
    const dying = Array.from({ length: victims }, (_, at) => Math.floor((at * instances) / victims) + at);
    const lastAtMs = await publisher.call("silence", dying);
    return await Promise.all(
      dying.map(async (index, at) => (await untilUnknown(client, instanceName(index))) - lastAtMs[at]!),
    );
  } finally {
    await Promise.all([coordinator.end(), publisher.end()]);
    await bus.close();
  }
}

/** @returns when it was found to be so, by the wall clock */
async function untilUnknown(client: Client, instance: string): Promise<number> {
  for (;;) {
    const { status } = await client.instances.get({ instance });
    if (status === "UNKNOWN") return Date.now();
    await pause(lookEveryMs);
  }
}
