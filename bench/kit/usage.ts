import { readFileSync } from "node:fs";

/** Ticks a second in `/proc`: 100 on every Linux that Node.js runs on. */
const ticksPerSecond = 100;

/** Processor time that a process has used, milliseconds; `NaN` where there is no `/proc`. */
function cpuMsOf(pid: number): number {
  if (process.platform !== "linux") return Number.NaN;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}

/** Processor time of groups of processes, milliseconds. */
export type CpuMs<K extends string> = Readonly<Record<K, number>>;

export function cpuMsOfAll<K extends string>(pids: Readonly<Record<K, readonly number[]>>): CpuMs<K> {
  const groups = Object.entries<readonly number[]>(pids);
  const sums = groups.map(([group, of]) => [group, of.reduce((sum, pid) => sum + cpuMsOf(pid), 0)]);
  return Object.fromEntries(sums) as CpuMs<K>;
}

export function cpuMsBetween<K extends string>(before: CpuMs<K>, after: CpuMs<K>): CpuMs<K> {
  const groups = Object.entries<number>(after);
  return Object.fromEntries(groups.map(([group, ms]) => [group, ms - before[group as K]])) as CpuMs<K>;
}

/** Memory of this process, MiB. */
export interface MemoryUse {
  readonly rssMiB: number;
  readonly peakRssMiB: number;
  /** After a collection, where the process was started with `--expose-gc`. */
  readonly heapMiB: number;
}

const mebibyte = 1024 ** 2;

export function memoryUse(): MemoryUse {
  const rssMiB = process.memoryUsage.rss() / mebibyte;
  globalThis.gc?.();
  return {
    rssMiB,
    peakRssMiB: process.resourceUsage().maxRSS / 1_024,
    heapMiB: process.memoryUsage().heapUsed / mebibyte,
  };
}
