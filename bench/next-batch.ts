import { setTimeout as pause } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type DesiredInstance, desiredInstanceSchema, type Report } from "../src/contracts/instance.js";
import { type Client, connectNatsBus, createClient, subjectsOf } from "../src/index.js";
import { publishBatch } from "../src/ledger/nats-batch.js";
import { type Benchmark, type Figure, ratios } from "./kit/benchmark.js";
import { startCoordinator, until } from "./kit/coordinator.js";
import { folderOn, type Storage, startNats } from "./kit/nats.js";

const fleet = "default";
const waves = 30;
const wavesNotCounted = 5;
const batches = [1, 50] as const;
/** Of each instance: its result and the event of it; of the next one its record, its desired state and the event of that. */
const messagesEach = 5;
/** The deployment's own record and event. */
const messagesBeside = 2;
const bareStream = "BARE";

/** How long the control plane takes between two batches. */
export const nextBatch: Benchmark = {
  name: "next-batch",
  about:
    "From the last healthy report of a batch, as an agent sends it, to the last desired state of the next batch, as an agent gets it; all " +
    "instances of a batch report at once. Beside it one atomic batch of as many messages with a fence, one of them republished, and one message " +
    `published and received, by the bare client on the same server. ${waves} batches each, the two in turn.`,
  run: async ({ natsBinary, say }) => {
    const figures: Figure[] = [];
    for (const storage of ["disk", "tmpfs"] as const) {
      if (folderOn(storage) === undefined) continue;
      for (const batch of batches) {
        figures.push(await measure(natsBinary, storage, batch));
        say(`batch ${batch} on ${storage} is measured`);
      }
    }
    return { figures, notes: [] };
  },
};

async function measure(natsBinary: string, storage: Storage, batch: number): Promise<Figure> {
  const nats = await startNats(natsBinary, storage);
  const coordinator = startCoordinator(nats, fleet);
  const bus = await connectNatsBus({ servers: nats.url, user: nats.user, pass: nats.password });
  const connection = await connect({ servers: nats.url, user: nats.user, pass: nats.password });
  try {
    const client = createClient({ bus, fleet });
    await until("a control plane answers", async () => (await client.status.get({})).leader !== null);
    const bare = await Bare.open(connection);
    const instances = new Instances(connection, batch * (waves + wavesNotCounted + 1));
    await instances.join(client);
    await release(client);
    const first = instances.nextTold(batch);
    await client.deployments.create({
      release: "v1",
      selector: "tier=web",
      batch,
      minHealthyMs: 0,
      deadlineMs: 600_000,
    });
    let told = await first;
    const ours: number[] = [];
    const bares: number[] = [];
    for (let wave = 0; wave < waves + wavesNotCounted; wave++) {
      const bareMs = await bare.once(batch * messagesEach + messagesBeside, wave);
      const next = instances.nextTold(batch);
      const startedAtMs = performance.now();
      instances.succeed(told);
      told = await next;
      if (wave < wavesNotCounted) continue;
      ours.push(performance.now() - startedAtMs);
      bares.push(bareMs);
    }
    const messages = batch * messagesEach + messagesBeside;
    return {
      what: `next batch of ${batch}, ${storage}`,
      unit: "ms",
      ours,
      bare: { what: `atomic batch of ${messages} messages + one message`, values: bares },
      ratio: ratios(ours, bares),
      goal: { of: "ratio", below: 3 },
    };
  } finally {
    await connection.close();
    await bus.close();
    await coordinator.stop();
    await nats.stop();
  }
}

/** Instances that say what they are told to say. */
class Instances {
  readonly #connection: NatsConnection;
  readonly #names: readonly string[];
  readonly #subjects = subjectsOf(fleet);
  #told: DesiredInstance[] = [];
  #arrived: () => void = () => undefined;
  #seq = 0;

  constructor(connection: NatsConnection, count: number) {
    this.#connection = connection;
    this.#names = Array.from({ length: count }, (_, at) => `i${at}`);
    connection.subscribe(this.#subjects.desired("desired.instance.*"), {
      callback: (_, message) => {
        this.#told.push(desiredInstanceSchema.parse(message.json()));
        this.#arrived();
      },
    });
  }

  async join(client: Client): Promise<void> {
    await until("all instances have joined", async () => {
      for (const name of this.#names) this.#report(name, 0, null);
      await this.#connection.flush();
      return (await client.status.get({})).instances.total === this.#names.length;
    });
  }

  /** Resolves when so many more desired states have arrived. */
  nextTold(count: number): Promise<DesiredInstance[]> {
    this.#told = [];
    return new Promise((resolve) => {
      this.#arrived = () => {
        if (this.#told.length >= count) resolve(this.#told);
      };
    });
  }

  succeed(told: readonly DesiredInstance[]): void {
    for (const { instance, generation, run } of told)
      this.#report(instance, generation, run?.release.version ?? null);
  }

  #report(instance: string, generation: number, release: string | null): void {
    const runs = release !== null;
    const report: Report = {
      format: 1,
      instance,
      agent: `agent-${instance}`,
      incarnation: "1",
      seq: this.#seq++,
      observedGeneration: generation,
      ledgerId: null,
      digest: String(generation),
      healthyForMs: runs ? 1_000 : 0,
      phaseAgeMs: 0,
      state: {
        labels: { tier: "web" },
        health: runs ? "HEALTHY" : "UNKNOWN",
        reason: null,
        running: release === null ? null : { release, config: null },
        phase: runs ? "ACTIVE" : "STOPPED",
        progress: runs ? 100 : 0,
        note: "",
        port: null,
        pid: null,
        restarts: 0,
        agentVersion: "bench",
      },
    };
    this.#connection.publish(this.#subjects.health(instance), JSON.stringify(report));
  }
}

/** The same work by the client alone: a batch that is fenced and republished, and a message. */
class Bare {
  readonly #connection: NatsConnection;
  #arrived: () => void = () => undefined;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
    connection.subscribe("told", { callback: () => this.#arrived() });
    connection.subscribe("reported", { callback: () => this.#arrived() });
  }

  static async open(connection: NatsConnection): Promise<Bare> {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({
      name: bareStream,
      subjects: ["bare.>"],
      allow_atomic: true,
      max_msgs_per_subject: 1,
      republish: { src: "bare.told", dest: "told" },
    });
    await connection.flush();
    return new Bare(connection);
  }

  async once(messages: number, wave: number): Promise<number> {
    if (wave === 0) await this.#write([{ key: "fence", body: "1" }]);
    const body = JSON.stringify({ text: "x".repeat(500) });
    const writes = Array.from({ length: messages }, (_, at) => ({
      key: at === messages - 1 ? "told" : `k.${at}`,
      body,
      ...(at === 0 ? { expect: { key: "fence", revision: 1 } } : {}),
    }));
    const startedAtMs = performance.now();
    const reported = this.#next();
    this.#connection.publish("reported", body);
    await reported;
    const told = this.#next();
    await this.#write(writes);
    await told;
    return performance.now() - startedAtMs;
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }

  async #write(
    writes: readonly { key: string; body: string; expect?: { key: string; revision: number } }[],
  ): Promise<void> {
    const [first, ...rest] = writes;
    if (first === undefined) throw new Error("a batch has messages");
    const subjectOf = (key: string) => `bare.${key}`;
    const answer = await publishBatch(
      this.#connection,
      { writes: [first, ...rest] },
      { timeoutMs: 10_000, subjectOf },
    );
    if (answer.kind !== "stored") throw new Error(`the bare batch was not stored: ${JSON.stringify(answer)}`);
  }
}

async function release(client: Client): Promise<void> {
  const manifest = { start: "true", healthCheck: { type: "tcp" } } as const;
  const source = {
    kind: "git",
    url: "https://git.example.org/service.git",
    ref: "v1",
    commit: "0".repeat(40),
  } as const;
  await client.releases.push({ release: { version: "v1", source, manifest }, digest: "git:v1" });
  await pause(100);
}
