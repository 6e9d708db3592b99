import { mkdir } from "node:fs/promises";
import { messageOf } from "../base/errors.js";
import type { Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { isNewEnough } from "../contracts/nats-version.js";
import { cacheFolders, type Environment, firstWritable } from "./cache-folder.js";
import { fetchFromDebian, isDebian } from "./fetch-debian.js";
import { fetchRelease } from "./fetch-release.js";
import { versionOfBinary } from "./version.js";

/** A server that was put on this machine now. */
export interface FetchedServer {
  readonly path: string;
  readonly version: string;
}

/**
 * Gets a nats-server into the first cache folder that can be written: on Debian out of its own archive, elsewhere,
 * and where that fails, the official release. It is in place by one rename, when it is whole and runs here.
 *
 * @throws RollcallError `NATS_FETCH_FAILED` with what was tried
 */
export async function fetchNatsServer(options: {
  env: Environment;
  dataDir: string;
  log: Log;
}): Promise<FetchedServer> {
  const { env, dataDir, log } = options;
  const folder = await cacheFolder(env, dataDir);
  const ways = [
    ...((await isDebian())
      ? [{ way: "the Debian archive", get: () => fetchFromDebian({ folder, env }) }]
      : []),
    { way: "the official release", get: () => fetchRelease({ folder, env }) },
  ];
  const problems: string[] = [];
  for (const { way, get } of ways) {
    log.info({ folder, from: way }, "no nats-server is here: getting one");
    try {
      const path = await get();
      const version = await versionOfBinary(path);
      if (!isNewEnough(version)) throw new Error(`it gave ${version}, which is older than 2.12`);
      log.info({ path, version, from: way }, "nats-server is here now");
      return { path, version };
    } catch (error) {
      log.warn({ from: way, problem: messageOf(error) }, "nats-server could not be had this way");
      problems.push(`${way}: ${messageOf(error)}`);
    }
  }
  throw refusal("NATS_FETCH_FAILED", { problem: problems.join("; ") });
}

async function cacheFolder(env: Environment, dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true });
    return await firstWritable(cacheFolders(env, dataDir));
  } catch (error) {
    throw refusal("NATS_FETCH_FAILED", { problem: messageOf(error) }, error);
  }
}
