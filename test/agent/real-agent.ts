import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { packRelease } from "../../src/agent/adapters/pack.js";
import { createProbes } from "../../src/agent/adapters/probes.js";
import { createProcesses, type RealProcesses } from "../../src/agent/adapters/processes.js";
import { createRecordFiles } from "../../src/agent/adapters/record-files.js";
import { createReleaseFiles } from "../../src/agent/adapters/release-files.js";
import { type Agent, type AgentOptions, createAgent } from "../../src/agent/agent.js";
import type { Bus, Objects } from "../../src/base/ports.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { refusal } from "../../src/contracts/errors.js";
import { keys } from "../../src/contracts/keys.js";
import type { Release } from "../../src/contracts/release.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";
import { eventuallyPasses } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { HandLedger } from "./hand-ledger.js";

const clock = createRealClock();
const random = createRealRandom();
export const limit = { withinMs: 60_000 };

/** An HTTP service that says its version; `well` is what its health check answers. */
function serverText(version: string, well: boolean): string {
  return `import { createServer } from "node:http";
createServer((request, response) => {
  if (request.url === "/health") response.statusCode = ${well ? 200 : 500};
  response.end("${version}");
}).listen(Number(process.env.PORT), "127.0.0.1");
`;
}

/** An agent over real folders and processes; only the bus is in memory, and the ledger is written by hand. */
export class RealAgent {
  readonly dataDir = makeTempDir();
  readonly ledger = new HandLedger(clock);
  readonly #objects = new Map<string, Uint8Array>();
  readonly #hub = createMemoryBus(clock);
  processes: RealProcesses;
  agent: Agent;
  #starts = 0;
  #generation = 0;

  readonly observer: Bus = this.#hub.connect("observer");
  readonly #options: Partial<AgentOptions>;

  constructor(options: Partial<AgentOptions> = {}) {
    this.#options = options;
    this.processes = this.#newProcesses();
    this.agent = this.#newAgent();
  }

  get state() {
    const state = this.agent.stateOf("i1");
    if (state === undefined) throw new Error("the agent does not run");
    return state;
  }

  async restart(): Promise<void> {
    await this.agent.stop();
    this.processes.close();
    this.processes = this.#newProcesses();
    this.agent = this.#newAgent();
    await this.agent.start();
  }

  /** A release as somebody would push it. */
  async release(version: string, options: { well?: boolean; manifest?: object } = {}): Promise<Release> {
    const folder = join(makeTempDir(), version);
    mkdirSync(folder);
    const healthCheck = {
      type: "http",
      path: "/health",
      intervalMs: 100,
      timeoutMs: 2_000,
      retries: 3,
      startPeriodMs: 1_000,
    };
    const manifest = {
      start: ["node", "server.mjs"],
      healthCheck,
      routes: [{ path: "/" }],
      minHealthyMs: 100,
      stop: { graceMs: 5_000 },
      ...options.manifest,
    };
    writeFileSync(join(folder, "rollcall.json"), JSON.stringify(manifest));
    writeFileSync(join(folder, "server.mjs"), serverText(version, options.well ?? true));
    const packed = await packRelease(folder, { clock, random });
    try {
      if (packed.source.kind !== "artifact") throw new Error("a folder becomes an artifact");
      const { digest, sizeBytes } = packed.source;
      const chunks: Uint8Array[] = [];
      for await (const chunk of packed.source.chunks()) chunks.push(chunk);
      this.#objects.set(version, Buffer.concat(chunks));
      return {
        version,
        source: { kind: "artifact", object: { name: version, digest, sizeBytes } },
        manifest: packed.manifest,
      };
    } finally {
      await packed.close();
    }
  }

  tell(run: Release | null): void {
    this.ledger.put(keys.desiredInstance("i1"), {
      format: 1,
      ledgerId: "ledger-1",
      instance: "i1",
      agent: this.agent.agentId,
      generation: ++this.#generation,
      epoch: 1,
      deployment: null,
      run: run === null ? null : { release: run, config: null },
      minHealthyMs: 100,
      deadlineMs: 60_000,
    });
  }

  async served(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.state.port}/`)).text();
  }

  async untilActive(version: string): Promise<void> {
    await eventuallyPasses(() => {
      expect(this.state).toMatchObject({ phase: "ACTIVE", health: "HEALTHY", running: { release: version } });
    }, limit);
  }

  #newProcesses(): RealProcesses {
    return createProcesses({ dataDir: this.dataDir, clock, random, log: quietLog });
  }

  #newAgent(): Agent {
    const { dataDir, processes } = this;
    const objects: Pick<Objects, "get"> = { get: (name) => this.#bytesOf(name) };
    return createAgent(
      {
        clock,
        random,
        log: quietLog,
        bus: this.#hub.connect(`agent ${++this.#starts}`),
        ledger: this.ledger,
        files: createReleaseFiles({ dataDir, objects, clock, random, log: quietLog }),
        processes,
        probes: createProbes({ dataDir, clock, random }),
        records: createRecordFiles(join(dataDir, "journal")),
      },
      { fleet: "test", agentVersion: "1.0.0", instances: [{ id: "i1", labels: {} }], ...this.#options },
    );
  }

  async *#bytesOf(name: string): AsyncGenerator<Uint8Array> {
    const bytes = this.#objects.get(name);
    if (bytes === undefined) throw refusal("OBJECT_NOT_FOUND", { name });
    yield bytes;
  }
}
