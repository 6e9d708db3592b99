import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** Where figures were measured: they are of no use without it. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly natsServer: string;
  /** Processes that wanted a core in the minute before. Above 0.5 others were at work too. */
  readonly loadBefore: number;
  /** Of the source, if it is known. */
  readonly commit: string | null;
}

export function machineFacts(natsVersion: string): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()}`,
    node: process.version,
    natsServer: natsVersion,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    commit: commit(),
  };
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    // No git, or a package without its repository.
    return null;
  }
}
