import type { Clock, Random } from "../../base/ports.js";
import type { Behaviours, WorkStep } from "./behaviour.js";
import { MemoryFiles, type StepTime } from "./files.js";
import { MemoryProbes } from "./probes.js";
import { MemoryProcesses } from "./processes.js";
import { MemoryRecords } from "./records.js";

/** A host in memory: the ports of an agent that outlive it. */
export interface MemoryHost {
  readonly files: MemoryFiles;
  readonly processes: MemoryProcesses;
  readonly probes: MemoryProbes;
  readonly records: MemoryRecords;
  /** How each release behaves here; may be changed at any time. */
  readonly behaviours: Behaviours;
  /** The agent is killed: its work on files and records never ends; processes go on. */
  crash(): void;
  /**
   * The machine goes down, with all that runs on it: a record that is being written is there afterwards as it was or as it was to
   * be, drawn by the host's randomness; what was written before is there.
   */
  reboot(): void;
  /** Nothing can be written any more, or there is room again. */
  setDiskFull(full: boolean): void;
  /** Every write of a record and every step of work takes so much longer; 0: as long as before. */
  slowDisk(byMs: number): void;
}

/**
 * Makes a host for an agent in a test or a simulation. Everything takes virtual time.
 *
 * @example
 * const host = createMemoryHost({ clock, random: random.fork("host-1") });
 * host.behaviours.set("v3", { unhealthy: true });
 * const agent = createAgent({ clock, random, log, bus, ledger, ...host }, options);
 */
export function createMemoryHost(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly behaviours?: Behaviours;
  readonly stepTimes?: Partial<Record<WorkStep, StepTime>>;
  /** How long the write of a record takes; default 0. */
  readonly saveMs?: number;
  /** How long it takes to identify a started process; default 0. */
  readonly startMs?: number;
}): MemoryHost {
  const { clock, random, stepTimes, saveMs = 0, startMs = 0 } = options;
  const behaviours = options.behaviours ?? new Map();
  const processes = new MemoryProcesses(clock, behaviours, startMs);
  const files = new MemoryFiles({ clock, random, behaviours, ...(stepTimes && { stepTimes }) });
  const records = new MemoryRecords(clock, saveMs);
  return {
    files,
    processes,
    probes: new MemoryProbes(clock, processes, behaviours),
    records,
    behaviours,
    crash: () => {
      files.crash();
      records.crash();
    },
    reboot: () => {
      files.crash();
      records.reboot(() => random.unit() < 0.5);
      processes.reboot();
    },
    setDiskFull: (full) => {
      files.setFull(full);
      records.setFull(full);
    },
    slowDisk: (byMs) => {
      files.slow(byMs);
      records.slow(byMs);
    },
  };
}
