import { cpus } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { type Client, connectNatsBus, createClient, type NatsBus } from "../src/index.js";
import type { BatchShape } from "./kit/batch-shape.js";
import { type Benchmark, ratios } from "./kit/benchmark.js";
import { startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import { medianOf } from "./kit/stats.js";
import { until } from "./kit/until.js";
import { type CpuMs, cpuMsBetween, cpuMsOfAll } from "./kit/usage.js";
import type { AgentCalls } from "./workers/agents.js";
import type { BareWriterCalls } from "./workers/bare-writer.js";
import type { CoordinatorCalls } from "./workers/coordinator.js";

const processes = 10;
const instancesEach = 100;
const instances = processes * instancesEach;
const batch = 50;
const runs = 5;
const fleet = "bench";
const bareFleet = "bare0";
const echo = "bench.echo";

/** A whole roll-out over many instances. */
export const thousand: Benchmark = {
  name: "fleet-1000",
  about:
    `A roll-out over ${instances} instances in ${processes} agent processes, batch ${batch}. The agents are the real ones but that ` +
    "downloads, builds, processes and checks are done in memory and at once, and no instance has to be healthy for any time: from the request to the outcome, one " +
    "release after another. Against the very batches that the coordinator wrote for it, as many and as large, each with a fence, written one after another by the " +
    "client alone, after each a request to another process and its answer.",
  run: async ({ natsBinary, say }) => {
    const nats = await startNats(natsBinary, "disk");
    const access = { url: nats.url, user: nats.user, password: nats.password };
    const [coordinator, writer, ...agents] = await Promise.all([
      Worker.start<CoordinatorCalls>("coordinator"),
      Worker.start<BareWriterCalls>("bare-writer"),
      ...Array.from({ length: processes }, () => Worker.start<AgentCalls>("agents")),
    ]);
    const workers = {
      coordinator: [coordinator.pid],
      server: [nats.pid],
      agents: agents.map(({ pid }) => pid),
    };
    try {
      const bus = await connectNatsBus({ servers: nats.url, user: nats.user, pass: nats.password });
      const client = createClient({ bus, fleet });
      await coordinator.call("start", { access, fleet });
      await writer.call("start", { access, fleet: bareFleet });
      await answerEcho(bus);
      const named = agents.map((agent, at) => ({ agent, name: `a${at}` }));
      await Promise.all(
        named.map(({ agent, name }) =>
          agent.call("start", { access, fleet, name, instances: instancesEach }),
        ),
      );
      await until(
        "all instances have reported",
        async () => (await client.status.get({})).instances.total === instances,
      );
      const measured: Run[] = [];
      // The first is for the compilers.
      for (let run = 0; run <= runs; run++) {
        await coordinator.call("batches", null);
        const before = cpuMsOfAll(workers);
        const tookMs = await rollOut(client, `v${run}`);
        const cpu = cpuMsBetween(before, cpuMsOfAll(workers));
        const batches = await coordinator.call("batches", null);
        const bareMs = await writer.call("series", { shapes: batches.map(shapeOf), echo });
        const writingMs = batches.reduce((sum, written) => sum + written.tookMs, 0);
        say(
          `${tookMs.toFixed(0)} ms, bare ${bareMs.toFixed(0)} ms, ${batches.length} batches; ${JSON.stringify(cpu)}`,
        );
        if (run > 0) measured.push({ tookMs, bareMs, batches: batches.length, writingMs, cpu });
      }
      await bus.close();
      return findings(measured);
    } finally {
      await Promise.all([coordinator, writer, ...agents].map((worker) => worker.end()));
      await nats.stop();
    }
  },
};

type Cpu = CpuMs<"coordinator" | "server" | "agents">;

interface Run {
  readonly tookMs: number;
  readonly bareMs: number;
  readonly batches: number;
  /** Time in which a batch was under way. */
  readonly writingMs: number;
  readonly cpu: Cpu;
}

function findings(measured: readonly Run[]) {
  const ours = measured.map(({ tookMs }) => tookMs);
  const bare = measured.map(({ bareMs }) => bareMs);
  const of = (value: (run: Run) => number) => Math.round(medianOf(measured.map(value)));
  const batches = of((run) => run.batches);
  const cores = cpus().length;
  const share = (value: (run: Run) => number) => of((run) => (value(run) / (run.tookMs * cores)) * 100);
  const parts = (["agents", "coordinator", "server"] as const)
    .map((part) => `the ${part} ${share((run) => run.cpu[part])} %`)
    .join(", ");
  return {
    figures: [
      {
        what: `roll-out over ${instances} instances, batch ${batch}`,
        unit: "ms",
        ours,
        bare: { what: `${batches} atomic batches, a round trip after each`, values: bare },
        ratio: ratios(ours, bare),
      },
    ],
    notes: [
      `What bounds it: during the roll-out ${parts} of this machine's processor time (${cores} cores, ${processes + 2} processes and whatever else ran ` +
        `beside them), and a ledger batch was under way ${of((run) => (run.writingMs / run.tookMs) * 100)} % of the time. Processor time for each instance: ` +
        `${(of((run) => run.cpu.agents) / instances).toFixed(1)} ms of its agent, ${(of((run) => run.cpu.coordinator) / instances).toFixed(1)} ms of the coordinator.`,
    ],
  };
}

function shapeOf({ desired, events, others }: BatchShape): BatchShape {
  return { desired, events, others };
}

async function answerEcho(bus: NatsBus): Promise<void> {
  bus.subscribe(echo, (message) => message.respond(message.data));
  await bus.flush();
}

async function rollOut(client: Client, version: string): Promise<number> {
  const manifest = {
    start: "true",
    healthCheck: { type: "tcp", intervalMs: 5_000, timeoutMs: 1_000 },
    order: "startFirst",
    minHealthyMs: 0,
    deadlineMs: 120_000,
  } as const;
  const source = {
    kind: "git",
    url: "https://git.example.org/service.git",
    ref: version,
    commit: "0".repeat(40),
  } as const;
  await client.releases.push({ release: { version, source, manifest }, digest: `git:${version}` });
  const startedAtMs = performance.now();
  const { id } = await client.deployments.create({ release: version, selector: "tier=web", batch });
  for (;;) {
    const { deployment } = await client.deployments.get({ deployment: id });
    if (deployment.outcome === "completed") return performance.now() - startedAtMs;
    if (deployment.outcome !== null) throw new Error(`${deployment.outcome}: ${deployment.reason?.message}`);
    await pause(20);
  }
}
