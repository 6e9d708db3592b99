import { AsyncLocalStorage } from "node:async_hooks";
import childProcess, { type ChildProcess } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { findMarked, ownerOf } from "../../src/agent/adapters/process-marks.js";
import { createProcesses, type RealProcesses } from "../../src/agent/adapters/processes.js";
import { createRecordFiles } from "../../src/agent/adapters/record-files.js";
import { type Agent, createAgent } from "../../src/agent/agent.js";
import type { Probes } from "../../src/agent/ports.js";
import type { LedgerReader, Objects } from "../../src/base/ports.js";
import { identifySelf } from "../../src/base-node/process-identity.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import type { InstanceState } from "../../src/contracts/instance.js";
import { keys } from "../../src/contracts/keys.js";
import type { Release } from "../../src/contracts/release.js";
import { NodeClock } from "../../src/simulator/node-clock.js";
import { HandLedger } from "../agent/hand-ledger.js";
import { eventually } from "../kit/eventually.js";
import { quietLog } from "../kit/quiet-log.js";
import { makeRamDir } from "../kit/temp-dir.js";
import { clock, currentOf, filesBelow, random, releaseFiles } from "./kit.js";

/** A service that runs on this host. */
interface Service {
  readonly pid: number;
  readonly release: string;
  readonly port: number;
}

const withinMs = 20_000;

/** A host with real folders and real processes whose agent is killed and started again. Its checks need no network. */
export class CrashHost {
  readonly dataDir: string;
  readonly #objects: Objects;
  readonly #ledger = new HandLedger(clock);
  #agent: Agent | undefined;
  #clock = new NodeClock(clock);
  #processes: RealProcesses | undefined;

  /** `from`: another host whose disk this one has. */
  constructor(objects: Objects, from?: CrashHost) {
    this.#objects = objects;
    this.dataDir = makeRamDir();
    if (from !== undefined) cpSync(from.dataDir, this.dataDir, { recursive: true, verbatimSymlinks: true });
  }

  get state(): InstanceState | undefined {
    return this.#agent?.stateOf("i1");
  }

  async start(): Promise<void> {
    const { dataDir } = this;
    this.#clock = new NodeClock(clock);
    const parts = { clock: this.#clock, random, log: quietLog };
    this.#processes = createProcesses({ dataDir, ...parts });
    this.#agent = createAgent(
      {
        ...parts,
        bus: createMemoryBus(clock).connect("agent"),
        ledger: boundTo(this.#ledger),
        files: releaseFiles(dataDir, this.#objects, { clock: this.#clock }),
        processes: this.#processes,
        probes,
        records: createRecordFiles(join(dataDir, "journal")),
      },
      { fleet: "test", agentVersion: "1.0.0", instances: [{ id: "i1", labels: {} }] },
    );
    await this.#agent.start();
  }

  /** Asks for a release, or for nothing to run. */
  tell(generation: number, run: Release | null): void {
    const file = join(this.dataDir, "journal", "agent", "agent.json");
    const { agentId } = JSON.parse(readFileSync(file, "utf8")) as { agentId: string };
    const state = {
      format: 1,
      ledgerId: "ledger-1",
      instance: "i1",
      agent: agentId,
      generation,
      epoch: 1,
      deployment: null,
      run: run === null ? null : { release: run, config: null },
      minHealthyMs: 0,
      deadlineMs: 60_000,
    };
    this.#ledger.put(keys.desiredInstance("i1"), state, generation);
  }

  /** Waits until the instance is as it should be; gives up once the agent was killed. */
  async until(holds: (state: InstanceState) => boolean): Promise<void> {
    const agent = this.#agent;
    await eventually(() => this.#agent !== agent || (this.state !== undefined && holds(this.state)), {
      withinMs,
      everyMs: 2,
    });
  }

  /** What the instance says is written down, and whatever served it on the way is gone. */
  isAtRest(): boolean {
    const { dataDir, state } = this;
    const journal = this.#journal();
    return (
      journal.stage === state?.phase &&
      journal.candidate === null &&
      this.#records() === (state?.running === null ? 0 : 1) &&
      !existsSync(join(dataDir, "instances", "i1", "staged.json"))
    );
  }

  /** Nothing of the agent happens any more. */
  kill(): void {
    this.#clock.die();
    this.#processes?.close();
    this.#agent = undefined;
  }

  /** The agent and everything else on this machine is gone; it has another boot id then. */
  async loseMachine(): Promise<void> {
    this.kill();
    await this.endServices();
    const { bootId } = identifySelf();
    for (const folder of [join(this.dataDir, "journal", "process"), join(this.dataDir, "processes")])
      for (const name of existsSync(folder) ? readdirSync(folder) : []) {
        const file = join(folder, name);
        writeFileSync(file, readFileSync(file, "utf8").replaceAll(bootId, "the-boot-before"));
      }
  }

  async stop(): Promise<void> {
    await this.#agent?.stop();
    this.kill();
  }

  async endServices(): Promise<void> {
    await eventually(
      () => {
        const left = this.services();
        for (const { pid } of left) process.kill(pid, "SIGKILL");
        return left.length === 0;
      },
      { everyMs: 2 },
    );
  }

  services(): Service[] {
    const marked = findMarked(ownerOf(this.dataDir)).filter(({ marks }) => marks.service !== undefined);
    return marked.map(({ identity: { pid }, marks }) => ({
      pid,
      release: releaseOf(pid),
      port: marks.port ?? 0,
    }));
  }

  /** How often each release was started on this host. */
  starts(): Readonly<Record<string, number>> {
    return Object.fromEntries(started.get(ownerOf(this.dataDir)) ?? []);
  }

  /** Everything that people, proxies and the next start of the agent find, but what is made up anew each time. */
  end(): unknown {
    const { dataDir } = this;
    const services = this.services();
    const port = String(services[0]?.port);
    const files = Object.entries(filesBelow(dataDir))
      .filter(([path]) => !/^(processes|journal)|\/logs\//.test(path))
      .map(([path, content]) => [
        path.replace(/tree-\w+/, "tree-x"),
        content
          .replace(/tree-\w+/, "tree-x")
          .replace(/,\d{13}\]/g, ",time]")
          .replaceAll(`127.0.0.1:${port}`, "its port"),
      ]);
    const journal = this.#journal();
    const { running, phase, health, reason, restarts, pid } = this.state ?? {};
    return {
      files: files.sort(),
      links: [currentOf(dataDir, "i1"), currentOf(dataDir, "i1", "next")],
      services: services.map(({ release }) => release),
      report: { running, phase, health, reason: reason?.code, restarts, pid: pid === services[0]?.pid },
      journal: {
        stage: journal.stage,
        generation: journal.target?.generation,
        active: journal.active?.launch.release.version,
        isItsPort: String(journal.active?.launch.port) === port,
        candidate: journal.candidate,
        published: journal.published,
      },
      records: this.#records(),
    };
  }

  /** Without the drafts of an agent that was killed over them: the next one clears away those of other processes only. */
  #records(): number {
    const folder = join(this.dataDir, "processes");
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")).length : 0;
  }

  #journal(): Journal {
    return JSON.parse(readFileSync(join(this.dataDir, "journal", "instance", "i1.json"), "utf8")) as Journal;
  }
}

interface Journal {
  readonly stage: string;
  readonly target: { readonly generation: number } | null;
  readonly active: {
    readonly launch: { readonly port: number; readonly release: { readonly version: string } };
  } | null;
  readonly candidate: unknown;
  readonly published: boolean;
}

/** What a service does: it stays. */
export const startCommand = "sleep 300";

/** How often each release was started, by the owner's mark. */
const started = new Map<string, Map<string, number>>();

/** Makes every start of a service by this process counted, also one that its agent did not live to note. */
export function countStarts(): void {
  const real = childProcess.spawn as (...args: unknown[]) => ChildProcess;
  const counting = (...args: unknown[]): ChildProcess => {
    const { env = {} } = (args[2] ?? {}) as { env?: Record<string, string> };
    const { ROLLCALL_OWNER: owner = "", ROLLCALL_RELEASE: release = "" } = env;
    if (env.ROLLCALL_ROLE === "service") {
      const counts = started.get(owner) ?? new Map<string, number>();
      started.set(owner, counts.set(release, (counts.get(release) ?? 0) + 1));
    }
    return real(...args);
  };
  Object.assign(childProcess, { spawn: counting });
  syncBuiltinESMExports();
}

const probes: Probes = {
  async check(_, { env }) {
    const isBad = env.ROLLCALL_RELEASE === "bad";
    return isBad
      ? { verdict: "unhealthy", detail: "it is bad" }
      : { verdict: "healthy", detail: "it is well" };
  },
};

/** What a ledger tells is heard by the life that listens, not by whoever wrote it. */
function boundTo(ledger: HandLedger): LedgerReader {
  return {
    get: (key) => ledger.get(key),
    watch: (key, handle) => ledger.watch(key, AsyncLocalStorage.bind(handle)),
  };
}

function releaseOf(pid: number): string {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
    return /(?:^|\0)ROLLCALL_RELEASE=([^\0]*)/.exec(environment)?.[1] ?? "";
  } catch {
    return "";
  }
}
