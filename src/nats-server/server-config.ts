import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { ServerRecord } from "./server-record.js";

const mebibyte = 1024 ** 2;
const storeBytesDefaultMax = 20 * 1024 * mebibyte;
const storeBytesLeast = 64 * mebibyte;
/** Streams in memory are not used; consumers keep a little there. */
const memoryBytesMax = 64 * mebibyte;
const logBytesMax = 10 * mebibyte;
const logFilesMax = 3;

/** Where the files of a data folder's server lie. */
export interface ServerPlaces {
  /** What is kept between starts. */
  readonly record: string;
  readonly folder: string;
  readonly config: string;
  readonly store: string;
  /** What the server logs; it rotates this file itself. */
  readonly log: string;
  /** What comes on its standard output and error: how it panicked, or why it did not read its configuration. */
  readonly output: string;
}

/** @param dataDir an absolute path */
export function serverPlaces(dataDir: string): ServerPlaces {
  const folder = join(dataDir, "nats");
  return {
    record: join(dataDir, "nats.json"),
    folder,
    config: join(folder, "server.conf"),
    store: join(folder, "jetstream"),
    log: join(folder, "server.log"),
    output: join(folder, "server.output"),
  };
}

/** Half of what is free on the disk, 20 GiB at most: the other half is for releases and whatever else lives there. */
export async function defaultStoreBytes(folder: string): Promise<number> {
  const disk = await statfs(folder);
  return Math.max(
    storeBytesLeast,
    Math.min(Math.floor((disk.bavail * disk.bsize) / 2), storeBytesDefaultMax),
  );
}

/**
 * The configuration of the server that `rollcall up` runs: loopback only, one user, and every write on the
 * disk before it is acknowledged. Credentials stand in this file and never on a command line, which everybody can read.
 */
export function serverConfig(record: ServerRecord, places: ServerPlaces): string {
  const text = JSON.stringify;
  return `# Written by rollcall at each start.
server_name: ${text(record.serverName)}
listen: "127.0.0.1:${record.port}"
authorization {
  user: ${text(record.user)}
  password: ${text(record.password)}
}
jetstream {
  store_dir: ${text(places.store)}
  sync_interval: always
  max_memory_store: ${memoryBytesMax}
  max_file_store: ${record.storeBytesMax}
}
max_payload: 1MB
ping_interval: "20s"
ping_max: 2
write_deadline: "10s"
log_file: ${text(places.log)}
logfile_size_limit: ${logBytesMax}
logfile_max_num: ${logFilesMax}
`;
}
