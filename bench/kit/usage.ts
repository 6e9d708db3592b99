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
