import { mkdir, readFile } from "node:fs/promises";
import { messageOf } from "../base/errors.js";
import type { Clock, Log } from "../base/ports.js";
import { writeFileAtomic } from "../base-node/atomic-file.js";
import { findFreePort, isPortFree } from "../base-node/free-port.js";
import type { ProcessIdentity } from "../base-node/process-identity.js";
import { findByArgument, isAlive } from "../base-node/process-identity.js";
import type { ServerPlaces } from "./server-config.js";
import { defaultStoreBytes, serverConfig, serverPlaces } from "./server-config.js";
import type { ServerProcess } from "./server-process.js";
import { endServer, spawnServer, untilReady } from "./server-process.js";
import type { ServerRecord } from "./server-record.js";
import { newServerRecord, readServerRecord, writeServerRecord } from "./server-record.js";

/** A server that answers, and what is kept of it. */
export interface OpenedServer {
  readonly places: ServerPlaces;
  readonly record: ServerRecord;
  readonly server: ServerProcess;
}

/** How long a living server of an earlier run may take to answer before it is replaced; it may just be starting. */
const adoptTimeoutMs = 5_000;
const portTriesMax = 3;

/** The address and the name by which a server of a record is known. */
export function targetOf(record: ServerRecord) {
  const { user, password, serverName } = record;
  return { url: `nats://127.0.0.1:${record.port}`, user, password, serverName };
}

/**
 * Adopts the server of a data folder or starts it.
 *
 * @param options.dataDir the real path of the folder: by it a server that was started and not yet recorded is known
 * @throws RollcallError `NATS_START_FAILED`
 */
export async function openServer(options: {
  binary: string;
  dataDir: string;
  port: number | undefined;
  storeBytesMax: number | undefined;
  clock: Clock;
  log: Log;
}): Promise<OpenedServer> {
  const { clock, log } = options;
  const places = serverPlaces(options.dataDir);
  await mkdir(places.folder, { recursive: true, mode: 0o700 });
  const kept = await readServerRecord(places.record, places.log);
  const record: ServerRecord = {
    ...(kept ?? (await newServerRecord(await defaultStoreBytes(places.folder)))),
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(options.storeBytesMax === undefined ? {} : { storeBytesMax: options.storeBytesMax }),
  };
  const adopted = await adoptOrEnd(record, places, { clock, log });
  if (adopted !== undefined)
    return { places, record: await recorded(record, places, adopted), server: adopted };
  return await startSomewhere(record, places, options);
}

/** Starts the server of a record on its port and waits until it answers. The caller has seen that no other one runs. */
export async function startServer(
  record: ServerRecord,
  places: ServerPlaces,
  options: { binary: string; clock: Clock },
): Promise<OpenedServer> {
  await writeFileAtomic(places.config, serverConfig(record, places), 0o600);
  const server = await spawnServer(options.binary, places);
  try {
    const written = await recorded(record, places, server);
    await untilReady(server, targetOf(record), { places, clock: options.clock });
    return { places, record: written, server };
  } catch (error) {
    await endServer(server.identity, options.clock);
    throw error;
  }
}

async function startSomewhere(
  wanted: ServerRecord,
  places: ServerPlaces,
  options: { binary: string; port: number | undefined; clock: Clock; log: Log },
): Promise<OpenedServer> {
  let record = wanted;
  for (let tries = 1; ; tries++) {
    if (options.port === undefined && !(await isPortFree(record.port))) {
      const port = await findFreePort();
      options.log.warn(
        { port, taken: record.port },
        "another program has the port of this folder's NATS server: it moves",
      );
      record = { ...record, port };
    }
    try {
      return await startServer(record, places, options);
    } catch (error) {
      // Somebody took the port between the look and the start.
      const mayMove = options.port === undefined && tries < portTriesMax && !(await isPortFree(record.port));
      if (!mayMove) throw error;
    }
  }
}

async function recorded(
  record: ServerRecord,
  places: ServerPlaces,
  { identity }: ServerProcess,
): Promise<ServerRecord> {
  const written = { ...record, server: identity };
  await writeServerRecord(places.record, written);
  return written;
}

/** The living server of this folder if it is as it would be started now; any other one is ended. */
async function adoptOrEnd(
  record: ServerRecord,
  places: ServerPlaces,
  options: { clock: Clock; log: Log },
): Promise<ServerProcess | undefined> {
  const { clock, log } = options;
  const left = leftRunning(record, places);
  const [only] = left;
  if (only !== undefined && left.length === 1 && (await hasConfig(record, places))) {
    const server: ServerProcess = { identity: only, child: undefined, saidFrom: { log: 0, output: 0 } };
    try {
      await untilReady(server, targetOf(record), { places, clock, timeoutMs: adoptTimeoutMs });
      log.info({ pid: only.pid, port: record.port }, "the NATS server of an earlier run is adopted");
      return server;
    } catch (error) {
      log.warn(
        { pid: only.pid, problem: messageOf(error) },
        "the NATS server of an earlier run does not answer",
      );
    }
  }
  for (const identity of left) {
    log.warn({ pid: identity.pid }, "a NATS server of an earlier run is ended");
    await endServer(identity, clock);
  }
  return undefined;
}

/** The recorded one, and whatever was started with this folder's configuration and killed us before it was recorded. */
function leftRunning(record: ServerRecord, places: ServerPlaces): ProcessIdentity[] {
  const byPid = new Map(findByArgument(places.config).map((identity) => [identity.pid, identity]));
  if (record.server !== null && isAlive(record.server)) byPid.set(record.server.pid, record.server);
  return [...byPid.values()];
}

async function hasConfig(record: ServerRecord, places: ServerPlaces): Promise<boolean> {
  const config = await readFile(places.config, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return config === serverConfig(record, places);
}
