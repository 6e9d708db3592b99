import { setTimeout as pause } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Client, connectNatsBus, createClient } from "../src/index.js";
import { publishBatch } from "../src/ledger/nats-batch.js";
import { type Benchmark, ratios } from "./kit/benchmark.js";
import { startCoordinator, until } from "./kit/coordinator.js";
import { type BenchNats, startNats } from "./kit/nats.js";
import { Worker } from "./kit/processes.js";
import type { AgentCalls } from "./workers/agents.js";

const processes = 10;
const instancesEach = 100;
const instances = processes * instancesEach;
const batch = 50;
const waves = instances / batch;
/** Of each instance: its result and the event of it, then its record, its desired state and the event of being told. */
const messagesOfWave = batch * 5;
const runs = 3;
const fleet = "default";
const bareStream = "BARE";

/** A whole roll-out over many instances. */
export const thousand: Benchmark = {
  name: "fleet-1000",
  about:
    `A roll-out over ${instances} instances in ${processes} agent processes, batch ${batch}, whose phases, processes and checks take no time and which need ` +
    `not be healthy for any time: from the request to the outcome, ${runs} releases one after another. Beside it ${waves} atomic batches of ${messagesOfWave} messages ` +
    "(what such a wave writes) and a request with its answer each, one after another, by the bare client on the same server.",
  run: async ({ natsBinary, say }) => {
    const nats = await startNats(natsBinary, "disk");
    const access = { url: nats.url, user: nats.user, password: nats.password };
    const coordinator = startCoordinator(nats, fleet);
    const agents = await Promise.all(
      Array.from({ length: processes }, () => Worker.start<AgentCalls>("agents")),
    );
    try {
      const bus = await connectNatsBus({ servers: nats.url, user: nats.user, pass: nats.password });
      const client = createClient({ bus, fleet });
      await until("a control plane answers", async () => (await client.status.get({})).leader !== null);
      await Promise.all(
        agents.map((agent, at) =>
          agent.call("start", { access, fleet, name: `a${at}`, instances: instancesEach }),
        ),
      );
      await until(
        "all instances have reported",
        async () => (await client.status.get({})).instances.total === instances,
      );
      const ours: number[] = [];
      const bare: number[] = [];
      for (let run = 0; run < runs; run++) {
        bare.push(await bareWaves(nats));
        ours.push(await rollOut(client, `v${run}`));
        say(`${ours.at(-1)?.toFixed(0)} ms, bare ${bare.at(-1)?.toFixed(0)} ms`);
      }
      await bus.close();
      return {
        figures: [
          {
            what: `roll-out over ${instances} instances, batch ${batch}`,
            unit: "ms",
            ours,
            bare: {
              what: `${waves} atomic batches of ${messagesOfWave} messages, each with a round trip`,
              values: bare,
            },
            ratio: ratios(ours, bare),
          },
        ],
        notes: [
          "What bounds it is the agents: 12 processes share the machine's cores, and each instance goes through eight phases, a process and a health check, all as in production but for the work itself.",
        ],
      };
    } finally {
      await Promise.all(agents.map((agent) => agent.end()));
      await coordinator.stop();
      await nats.stop();
    }
  },
};

async function rollOut(client: Client, version: string): Promise<number> {
  const manifest = {
    start: "true",
    healthCheck: { type: "tcp", intervalMs: 5_000, timeoutMs: 1_000 },
    order: "startFirst",
    minHealthyMs: 0,
    deadlineMs: 120_000,
  } as const;
  const commit = "0".repeat(40);
  const source = { kind: "git", url: "https://git.example.org/service.git", ref: version, commit } as const;
  await client.releases.push({ release: { version, source, manifest } as never, digest: `git:${version}` });
  const startedAtMs = performance.now();
  const { id } = await client.deployments.create({ release: version, selector: "tier=web", batch });
  for (;;) {
    const { deployment } = await client.deployments.get({ deployment: id });
    if (deployment.outcome === "completed") return performance.now() - startedAtMs;
    if (deployment.outcome !== null) throw new Error(`${deployment.outcome}: ${deployment.reason?.message}`);
    await pause(20);
  }
}

async function bareWaves(nats: BenchNats): Promise<number> {
  const connection = await connect({ servers: nats.url, user: nats.user, pass: nats.password });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({
    name: bareStream,
    subjects: ["bare.>"],
    allow_atomic: true,
    max_msgs_per_subject: 1,
  });
  const echo = connection.subscribe("echo", { callback: (_, message) => void message.respond(message.data) });
  const body = JSON.stringify({ text: "x".repeat(500) });
  const write = (wave: number, at: number) => ({
    key: `k.${at}`,
    body,
    ...(at === 0 ? { headers: { wave: String(wave) } } : {}),
  });
  const startedAtMs = performance.now();
  for (let wave = 0; wave < waves; wave++) {
    const [first, ...rest] = Array.from({ length: messagesOfWave }, (_, at) => write(wave, at));
    if (first === undefined) throw new Error("a wave has messages");
    const answer = await publishBatch(
      connection,
      { writes: [first, ...rest] },
      { timeoutMs: 10_000, subjectOf: (key) => `bare.${key}` },
    );
    if (answer.kind !== "stored") throw new Error(`the bare batch was not stored: ${answer.kind}`);
    await connection.request("echo", "");
  }
  const tookMs = performance.now() - startedAtMs;
  echo.unsubscribe();
  await manager.streams.delete(bareStream);
  await connection.close();
  return tookMs;
}
