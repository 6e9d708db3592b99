import { setTimeout as pause } from "node:timers/promises";
import { connectNatsBus, type NatsBus, subjectsOf } from "../src/index.js";
import { directGetSubject } from "../src/ledger/ledger-reader.js";
import { detection } from "./detection.js";
import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import { CoordinatorProcess } from "./kit/coordinator-process.js";
import { type BenchNats, startNats } from "./kit/nats.js";
import { ObedientFleet } from "./kit/obedient-fleet.js";
import { medianOf } from "./kit/stats.js";
import { until } from "./kit/until.js";

const runs = 20;
const instances = 40;
const leaseMs = 3_000;
/** The lease is renewed this often: the leader ends at any moment in between. */
const renewedEveryMs = leaseMs / 4;
const lookEveryMs = 5;
const fleet = "bench";

/** What a change of leader and the death of an instance cost. */
export const failover: Benchmark = {
  name: "failover",
  about:
    `Two \`rollcall coordinator\` processes and a roll-out over ${instances} instances, one at a time, at whose agents one clock takes the time. The leader ends ` +
    "while an instance is in flight, at any moment between two renewals of its lease; that instance is well at the same moment, and says so to whoever listens. Until the next leader's first desired " +
    `state is at its agent: by SIGKILL, ${runs} runs, beside the lease as the server keeps it, from the same moment on; and by SIGTERM, ${runs} runs. Then a coordinator with 1,000 and with ` +
    "10,000 instances that report every 2 s, ten of which fall silent: from the last report of each until the API says UNKNOWN, beside the three reports that it must have missed.",
  run: async ({ natsBinary, say }) => {
    const nats = await startNats(natsBinary, "disk");
    try {
      const killed = await series(nats, "SIGKILL", say);
      const stopped = await series(nats, "SIGTERM", say);
      const detected = await detection(nats, say);
      return {
        figures: [...figuresOfKill(killed), ...figuresOfHandOver(stopped), ...detected],
        notes: [
          partsOf("After a SIGKILL", killed),
          partsOf("After a SIGTERM", stopped),
          `The leader renews its lease of ${leaseMs} ms every ${renewedEveryMs} ms, so that by its end between ${leaseMs - renewedEveryMs} and ${leaseMs} ms are left.`,
        ],
      };
    } finally {
      await nats.stop();
    }
  },
};

/** What happened after the signal, milliseconds from then on. */
interface Change {
  /** The lease is gone: given back, or its time is over. */
  readonly freeMs: number;
  readonly takenMs: number;
  readonly leadingMs: number;
  readonly toldMs: number;
}

async function series(
  nats: BenchNats,
  signal: "SIGKILL" | "SIGTERM",
  say: (sentence: string) => void,
): Promise<Change[]> {
  const of = `${fleet}-${signal.toLowerCase()}`;
  const names = [`${signal.toLowerCase()}-a0`, `${signal.toLowerCase()}-b0`];
  let processes = names.map((name) => new CoordinatorProcess(name, nats, of));
  const bus = await connectNatsBus({ servers: nats.url, user: nats.user, pass: nats.password });
  const agents = await ObedientFleet.start(nats, of, instances);
  const changes: Change[] = [];
  try {
    // The first is for the compilers, and the pages of the disk.
    for (let run = 0; run <= runs; run++) {
      await until(
        "both coordinators are there",
        async () => (await agents.client.coordinators.list()).items.length === 2,
      );
      const { leader: name } = await agents.client.status.get();
      const leader = processes.find((process) => process.name === name)!;
      const next = processes.find((process) => process.name !== name)!;
      const change = await changeLeader({ bus, of, agents, leader, next, signal, version: `v${run}` });
      say(`${signal} ${run}: ${JSON.stringify(change)}`);
      if (run > 0) changes.push(change);
      await leader.end();
      processes = [next, new CoordinatorProcess(`${signal.toLowerCase()}-${run + 1}`, nats, of)];
    }
    return changes;
  } finally {
    await Promise.all(processes.map((process) => process.end()));
    await agents.close();
    await bus.close();
  }
}

interface Scene {
  readonly bus: NatsBus;
  readonly of: string;
  readonly agents: ObedientFleet;
  readonly leader: CoordinatorProcess;
  readonly next: CoordinatorProcess;
  readonly signal: "SIGKILL" | "SIGTERM";
  readonly version: string;
}

async function changeLeader({ bus, of, agents, leader, next, signal, version }: Scene): Promise<Change> {
  await push(agents, version);
  agents.eager = false;
  const underWay = agents.nextTold(({ run }) => run?.release.version === version);
  const asked = { release: version, selector: "all=y", batch: 1, minHealthyMs: 0, by: "bench" };
  const { id } = await agents.client.deployments.create(asked);
  const { epoch } = (await underWay).desired;
  await pause(500 + Math.random() * renewedEveryMs);
  const told = agents.nextTold((desired) => desired.epoch > epoch);
  const lease = watchLease(bus, of, epoch);
  const startedAtMs = performance.now();
  leader.signal(signal);
  // By a stopping leader the roll-out may still be a step or two further.
  agents.eager = true;
  const [{ atMs: toldAtMs }, { freeAtMs, takenAtMs }] = await Promise.all([told, lease]);
  const leadingAtMs = await next.leadingAfter(startedAtMs);
  await until(`${id} is over`, async () => (await agents.client.status.get()).active.length === 0);
  return {
    freeMs: freeAtMs - startedAtMs,
    takenMs: takenAtMs - startedAtMs,
    leadingMs: leadingAtMs - startedAtMs,
    toldMs: toldAtMs - startedAtMs,
  };
}

/** When the lease of an epoch is gone, and when the next one is taken. */
async function watchLease(
  bus: NatsBus,
  of: string,
  epoch: number,
): Promise<{ freeAtMs: number; takenAtMs: number }> {
  let freeAtMs: number | undefined;
  const taken = new Promise<number>((resolve) => {
    const watch = bus.subscribe(subjectsOf(of).desired("lease"), ({ data }) => {
      const atMs = performance.now();
      freeAtMs ??= atMs;
      const claim =
        data.length === 0 ? undefined : (JSON.parse(new TextDecoder().decode(data)) as { epoch: number });
      if (claim === undefined || claim.epoch <= epoch) return;
      watch.unsubscribe();
      resolve(atMs);
    });
  });
  while (freeAtMs === undefined) {
    const answer = await bus.request(directGetSubject(of, "lease"), "", { timeoutMs: 2_000 });
    if (answer.header("Status") === "404" || answer.header("Nats-Marker-Reason") !== undefined)
      freeAtMs ??= performance.now();
    else await pause(lookEveryMs);
  }
  return { freeAtMs, takenAtMs: await taken };
}

async function push({ client }: ObedientFleet, version: string): Promise<void> {
  const digest = `sha256:${"0".repeat(64)}`;
  const healthCheck = { type: "http", path: "/health" } as const;
  await client.releases.push({
    release: {
      version,
      source: { kind: "artifact", object: { name: version, digest, sizeBytes: 1 } },
      manifest: { start: "node server.js", healthCheck, minHealthyMs: 0 },
    },
    digest,
    by: "bench",
  });
}

function figuresOfKill(changes: readonly Change[]): Figure[] {
  const inLeases = (ms: number) => ms / leaseMs;
  const free = changes.map(({ freeMs }) => freeMs);
  const told = changes.map(({ toldMs }) => toldMs);
  const bare = "until the server lets go of the lease";
  return [
    {
      what: "SIGKILL of the leader, until the next one's first desired state",
      unit: "leases",
      ours: told.map(inLeases),
      bare: { what: bare, values: free.map(inLeases) },
      ratio: ratios(told, free),
      goal: { of: "ours", below: 1.1 },
    },
    { what: "the same", unit: "ms", ours: told, bare: { what: bare, values: free } },
  ];
}

function figuresOfHandOver(changes: readonly Change[]): Figure[] {
  return [
    {
      what: "SIGTERM to the leader, until the next one leads",
      unit: "ms",
      ours: changes.map(({ leadingMs }) => leadingMs),
      goal: { of: "ours", below: 100 },
    },
    {
      what: "of it from the resignation on",
      unit: "ms",
      ours: changes.map(({ freeMs, leadingMs }) => leadingMs - freeMs),
    },
    {
      what: "SIGTERM to the leader, until the next one's first desired state",
      unit: "ms",
      ours: changes.map(({ toldMs }) => toldMs),
    },
  ];
}

function partsOf(when: string, changes: readonly Change[]): string {
  const median = (value: (change: Change) => number) => medianOf(changes.map(value)).toFixed(0);
  return (
    `${when}: ${median(({ freeMs }) => freeMs)} ms until the lease is free, ${median(({ freeMs, takenMs }) => takenMs - freeMs)} ms until it is taken, ` +
    `${median(({ takenMs, leadingMs }) => leadingMs - takenMs)} ms until the fleet is taken over, ${median(({ leadingMs, toldMs }) => toldMs - leadingMs)} ms until the first desired state is at its agent.`
  );
}
