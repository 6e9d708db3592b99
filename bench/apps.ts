import { setTimeout as pause } from "node:timers/promises";
import { appListSchema } from "../src/contracts/app.js";
import type { AppReport } from "../src/contracts/app-report.js";
import { isEnabled } from "../src/contracts/app-status.js";
import { keys } from "../src/contracts/keys.js";
import { type Client, connectNatsBus, createClient, type NatsBus, subjectsOf } from "../src/index.js";
import { openLedgerReader } from "../src/ledger/ledger-reader.js";
import { type Benchmark, type Figure, type Findings, ratios } from "./kit/benchmark.js";
import { type BenchNats, startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import { medianOf } from "./kit/stats.js";
import { until } from "./kit/until.js";
import { type CpuMs, cpuMsBetween, cpuMsOfAll } from "./kit/usage.js";
import { type AppInstancesCalls, bareSubjects } from "./workers/app-instances.js";
import type { AppPuppetsCalls } from "./workers/app-puppets.js";
import type { CoordinatorCalls } from "./workers/coordinator.js";

const instances = 1_000;
const processes = 4;
const runs = 11;
/** For the compilers, before. */
const warmUps = 5;
const apps = 500;
const windows = 3;
/** A look at all apps falls into each. */
const windowSeconds = 30;
/** What a report of one changed app is long, and the record of one. */
const reportBytes = 560;
const recordBytes = 300;
/** The audit log of a run is written by then. */
const calmMs = 2_000;

/** Apps: how fast one is enabled everywhere, and what many of them cost while nothing happens. */
export const appsOfFleet: Benchmark = {
  name: "apps",
  about:
    `One app is enabled on ${instances} instances of the SDK, each with a connection of its own in one of ${processes} processes, with an engine that has nothing to do: from the request ` +
    "to the last report that says so, as somebody beside the coordinator hears them. Against a bare broadcast, as large, to the same connections, each of which parses it and answers by as large a " +
    `message as a report. Then ${apps} apps on ${instances} instances that report every 2 s that all is as asked: processor time of the coordinator's process, all of it ` +
    `(reports, the look at each pair, the lease), in ${windows} windows of ${windowSeconds} s, and its memory at the end.`,
  run: async ({ natsBinary, say }) => {
    const enabled = await enabling(natsBinary, say);
    return { figures: [...enabled.figures, ...(await steady(natsBinary, say))], notes: enabled.notes };
  },
};

function namesOf(process: number): string[] {
  const each = instances / processes;
  return Array.from({ length: each }, (_, at) => `web-${process * each + at}`);
}

async function enabling(natsBinary: string, say: (sentence: string) => void): Promise<Findings> {
  const nats = await startNats(natsBinary, "disk");
  const coordinator = await Worker.start<CoordinatorCalls>("coordinator");
  const workers = await Promise.all(
    Array.from({ length: processes }, () => Worker.start<AppInstancesCalls>("app-instances")),
  );
  try {
    const { access, bus, client } = await reach(nats, "one");
    await coordinator.call("start", { access, fleet: "one" });
    await client.apps.add({ app: "mail", version: "1.0.0", desiredStatus: "disabled" });
    await Promise.all(
      workers.map((worker, process) =>
        worker.call("start", {
          ...{ access, fleet: "one", replyBytes: reportBytes },
          instances: namesOf(process),
        }),
      ),
    );
    const allInSync = async () => (await client.apps.get({ app: "mail" })).counts.inSync === instances;
    await until("all instances have reported", allInSync);
    const pids = {
      agents: workers.map(({ pid }) => pid),
      coordinator: [coordinator.pid],
      server: [nats.pid],
    };
    const measured: Run[] = [];
    for (let run = 0; run < warmUps + runs; run++) {
      await pause(calmMs);
      const bareMs = await broadcast(bus);
      const { generation } = await client.apps.get({ app: "mail" });
      const enabled = allReport(bus, generation + 1);
      const before = cpuMsOfAll(pids);
      const startedAtMs = performance.now();
      await client.apps.enable({ app: "mail" });
      const acknowledgedMs = performance.now() - startedAtMs;
      const tookMs = (await enabled) - startedAtMs;
      const cpu = cpuMsBetween(before, cpuMsOfAll(pids));
      say(
        `${tookMs.toFixed(0)} ms (acknowledged after ${acknowledgedMs.toFixed(0)}), bare ${bareMs.toFixed(0)} ms; ${JSON.stringify(cpu)}`,
      );
      await until("the coordinator has heard all", allInSync);
      await client.apps.disable({ app: "mail" });
      await until("all have disabled it", allInSync);
      if (run >= warmUps) measured.push({ tookMs, bareMs, cpu });
    }
    await bus.close();
    return findings(measured);
  } finally {
    await Promise.all([coordinator, ...workers].map((worker) => worker.end()));
    await nats.stop();
  }
}

interface Run {
  readonly tookMs: number;
  readonly bareMs: number;
  readonly cpu: CpuMs<"agents" | "coordinator" | "server">;
}

function findings(measured: readonly Run[]): Findings {
  const ours = measured.map(({ tookMs }) => tookMs);
  const bare = measured.map(({ bareMs }) => bareMs);
  const each = (value: (run: Run) => number) => (medianOf(measured.map(value)) / instances).toFixed(2);
  return {
    figures: [
      {
        what: `an app enabled on ${instances} instances, until all have reported`,
        unit: "ms",
        ours,
        bare: { what: "broadcast with replies", values: bare },
        ratio: ratios(ours, bare),
        goal: { of: "ratio", below: 3 },
      },
    ],
    notes: [
      `What bounds it: the agents share the cores of this machine. Processor time for each instance: ${each(({ cpu }) => cpu.agents)} ms of its agent (the record ` +
        "is checked, the app initialized and enabled, each step kept, the report made), " +
        `${each(({ cpu }) => cpu.coordinator)} ms of the coordinator, ${each(({ cpu }) => cpu.server)} ms of the server; on hosts of their own the agents do theirs at once. ` +
        "Before the first hears of it the request is in the ledger, on the disk.",
    ],
  };
}

async function reach({ url, user, password }: BenchNats, fleet: string) {
  const bus = await connectNatsBus({ servers: url, user, pass: password });
  return { access: { url, user, password }, bus, client: createClient({ bus, fleet }) };
}

const decoder = new TextDecoder();

/** When the last instance says that the app is enabled under that generation. */
async function allReport(bus: NatsBus, generation: number): Promise<number> {
  const waiting = new Set(Array.from({ length: processes }, (_, process) => namesOf(process)).flat());
  const subject = subjectsOf("one").apps("*");
  return await new Promise((resolve) => {
    const subscription = bus.subscribe(subject, ({ data }) => {
      const report = JSON.parse(decoder.decode(data)) as AppReport;
      const [state] = report.apps?.states ?? [];
      if (state?.generation !== generation || !isEnabled(state.initStatus)) return;
      waiting.delete(report.instance);
      if (waiting.size > 0) return;
      subscription.unsubscribe();
      resolve(performance.now());
    });
  });
}

/** How long it takes from a broadcast to the last of its replies. */
async function broadcast(bus: NatsBus): Promise<number> {
  const told = JSON.stringify({ told: "x".repeat(recordBytes) });
  return await new Promise((resolve) => {
    let left = instances;
    const subscription = bus.subscribe(bareSubjects.reply, ({ data }) => {
      JSON.parse(decoder.decode(data));
      if (--left > 0) return;
      subscription.unsubscribe();
      resolve(performance.now() - startedAtMs);
    });
    const startedAtMs = performance.now();
    bus.publish(bareSubjects.told, told);
  });
}

async function steady(natsBinary: string, say: (sentence: string) => void): Promise<Figure[]> {
  const nats = await startNats(natsBinary, "disk");
  const [coordinator, puppets] = await Promise.all([
    Worker.start<CoordinatorCalls>("coordinator", ["--expose-gc"]),
    Worker.start<AppPuppetsCalls>("app-puppets"),
  ]);
  try {
    const { access, bus, client } = await reach(nats, "many");
    await coordinator.call("start", { access, fleet: "many" });
    const before = await coordinator.call("memory", null);
    say(`adding ${apps} apps`);
    await addApps(client);
    const asked = await toldIn(bus);
    const names = Array.from({ length: processes }, (_, process) => namesOf(process)).flat();
    await puppets.call("start", { access, fleet: "many", instances: names, ...asked });
    await until("all pairs are known to be as asked", async () => {
      const { counts } = await client.apps.status({ limit: 1 });
      return counts.inSync === instances * apps;
    });
    await pause(calmMs);
    const shares: number[] = [];
    for (let window = 0; window < windows; window++) {
      const { cpuMs, wallMs } = await coordinator.call("usage", windowSeconds);
      shares.push((cpuMs / wallMs) * 100);
      say(`${shares.at(-1)?.toFixed(2)} % of a core`);
    }
    const { counts } = await client.apps.status({ limit: 1 });
    if (counts.inSync !== instances * apps) throw new Error(`not all is as asked: ${JSON.stringify(counts)}`);
    const memory = await coordinator.call("memory", null);
    await bus.close();
    const pairs = `${apps} apps on ${instances} instances`;
    return [
      { what: `${pairs}, all as asked`, unit: "% of a core", ours: shares, goal: { of: "ours", below: 5 } },
      { what: `${pairs}: memory resident at the end`, unit: "MiB", ours: [memory.rssMiB] },
      {
        what: `${pairs}: JavaScript heap after a collection, more than without them`,
        unit: "MiB",
        ours: [memory.heapMiB - before.heapMiB],
      },
    ];
  } finally {
    await Promise.all([coordinator.end(), puppets.end()]);
    await nats.stop();
  }
}

const addedAtOnce = 50;

async function addApps(client: Client): Promise<void> {
  for (let from = 0; from < apps; from += addedAtOnce)
    await Promise.all(
      Array.from({ length: addedAtOnce }, (_, at) =>
        client.apps.add({ app: `app-${from + at}`, version: "1.0.0", desiredStatus: "enabled" }),
      ),
    );
}

/** What the ledger asks of all apps. */
async function toldIn(bus: NatsBus) {
  const entry = await openLedgerReader(bus, "many").get(keys.desiredApps);
  const list = appListSchema.parse(entry?.value);
  return {
    ledgerId: list.ledgerId,
    generation: list.generation,
    apps: Object.entries(list.apps).map(([app, generation]) => ({ app, generation })),
  };
}
