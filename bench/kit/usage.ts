import { readFileSync } from "node:fs";

/** Ticks a second in `/proc`: 100 on every Linux that Node.js runs on. */
const ticksPerSecond = 100;

/** Processor time that a process has used, milliseconds; `NaN` where there is no `/proc`. */
export function cpuMsOf(pid: number): number {
  if (process.platform !== "linux") return Number.NaN;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
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
