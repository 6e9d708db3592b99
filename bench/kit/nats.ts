import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { probeServer } from "../../src/nats-server/probe.js";
import { serverConfig, serverPlaces } from "../../src/nats-server/server-config.js";
import { newServerRecord } from "../../src/nats-server/server-record.js";

/** Where to reach a server, and as whom. */
export interface NatsAccess {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** A server of a benchmark, with exactly the configuration of the one that `rollcall up` runs. */
export interface BenchNats extends NatsAccess {
  readonly pid: number;
  /** What its files lie on: `tmpfs`, or `disk`. */
  readonly storage: Storage;
  stop(): Promise<void>;
}

export type Storage = "disk" | "tmpfs";

const tmpfsMagic = 0x01021994;
const storeBytesMax = 6 * 1024 ** 3;
const readyWithinMs = 20_000;

/** A folder on tmpfs or on a disk; `undefined` where this machine has none. */
export function folderOn(storage: Storage): string | undefined {
  return [tmpdir(), "/var/tmp", "/dev/shm"].find((folder) => storageOf(folder) === storage);
}

function storageOf(folder: string): Storage | undefined {
  try {
    return statfsSync(folder).type === tmpfsMagic ? "tmpfs" : "disk";
  } catch {
    // There is no such folder on this system.
    return undefined;
  }
}

/** An empty folder that goes with `remove`, or at the end of this process. */
export function makeFolder(storage: Storage): { readonly path: string; remove(): void } {
  const parent = folderOn(storage);
  if (parent === undefined) throw new Error(`there is no folder on ${storage}`);
  const path = realpathSync(mkdtempSync(join(parent, "rollcall-bench-")));
  const remove = () => {
    process.off("exit", remove);
    rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  process.on("exit", remove);
  return { path, remove };
}

/** Starts a server that ends with this process. */
export async function startNats(binary: string, storage: Storage): Promise<BenchNats> {
  const folder = makeFolder(storage);
  const places = serverPlaces(folder.path);
  const record = await newServerRecord(storeBytesMax);
  mkdirSync(places.folder, { recursive: true });
  writeFileSync(places.config, serverConfig(record, places));
  const child = spawn(binary, ["-c", places.config], { stdio: "ignore" });
  const kill = () => child.kill("SIGKILL");
  // Before the folder goes: what still runs would write into it.
  process.prependListener("exit", kill);
  await once(child, "spawn");
  const { user, password } = record;
  const access = { url: `nats://127.0.0.1:${record.port}`, user, password };
  await untilReady(access);
  return {
    ...access,
    pid: child.pid ?? 0,
    storage,
    stop: async () => {
      const ended = once(child, "exit");
      kill();
      process.off("exit", kill);
      await ended;
      folder.remove();
    },
  };
}

async function untilReady(access: NatsAccess): Promise<void> {
  const latestAtMs = performance.now() + readyWithinMs;
  for (;;) {
    try {
      await probeServer(access, readyWithinMs);
      return;
    } catch (error) {
      if (performance.now() > latestAtMs) throw error;
      await pause(5);
    }
  }
}
