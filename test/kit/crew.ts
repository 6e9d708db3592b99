import { type Agent, createAgent } from "../../src/agent/agent.js";
import { createMemoryHost, type MemoryHost } from "../../src/agent/memory/memory-host.js";
import type { Processes } from "../../src/agent/ports.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { fleet } from "./coordinators-world.js";
import type { FleetWorld } from "./fleet.js";
import { quietLog } from "./quiet-log.js";

/** Whoever carries out what instances are told, as a test of the outcome sees them. */
export interface Crew {
  running(): Readonly<Record<string, string | null>>;
  /** Everything that was done to each instance, in this order. */
  effects(): Readonly<Record<string, readonly string[]>>;
}

/** Agents by hand. */
export function fakeCrew(world: FleetWorld, instances: number): Crew {
  for (let n = 1; n <= instances; n++) world.addAgent(`i${n}`);
  return {
    running: () => world.running(),
    effects: () => Object.fromEntries([...world.agents].map(([name, { effects }]) => [name, effects])),
  };
}

/** The real agents, one an instance, over ports in memory. */
export class RealCrew implements Crew {
  readonly hosts = new Map<string, MemoryHost>();
  readonly #agents = new Map<string, Agent>();
  readonly #processes = new Map<string, string[]>();

  async start(world: FleetWorld, instances: number): Promise<void> {
    for (let n = 1; n <= instances; n++) {
      const name = `i${n}`;
      const bus = world.hub.connect(`agent-${name}`);
      const random = createSeededRandom(name);
      const host = createMemoryHost({ clock: world.clock, random });
      const agent = createAgent(
        {
          clock: world.clock,
          random,
          log: quietLog,
          bus,
          ledger: openLedgerReader(bus, fleet),
          ...host,
          processes: this.#noting(name, host.processes),
        },
        { fleet, agentVersion: "1.0.0", instances: [{ id: name, labels: {} }] },
      );
      this.hosts.set(name, host);
      this.#agents.set(name, agent);
      await world.during(agent.start());
    }
  }

  running(): Record<string, string | null> {
    return Object.fromEntries(
      [...this.#agents].map(([name, agent]) => [name, agent.stateOf(name)?.running?.release ?? null]),
    );
  }

  effects(): Record<string, readonly string[]> {
    return Object.fromEntries(
      [...this.hosts].map(([name, { files }]) => [
        name,
        [
          ...files.steps.map(({ step, release }) => `${step} ${release ?? ""}`.trimEnd()),
          ...(this.#processes.get(name) ?? []),
        ],
      ]),
    );
  }

  #noting(name: string, processes: MemoryHost["processes"]): Processes {
    const noted: string[] = [];
    this.#processes.set(name, noted);
    return {
      start: (start) => {
        noted.push(`start ${start.env.ROLLCALL_RELEASE}`);
        return processes.start(start);
      },
      stop: (identity, options) => {
        const release = processes.living.find((living) => living.identity.pid === identity.pid)?.release;
        noted.push(`end ${release ?? "what is gone"}`);
        return processes.stop(identity, options);
      },
      isAlive: (identity) => processes.isAlive(identity),
      onExit: (identity, ended) => processes.onExit(identity, ended),
      tail: (instance) => processes.tail(instance),
      owned: () => processes.owned(),
      freePort: (instance, wanted) => processes.freePort(instance, wanted),
    };
  }
}
