import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { messageOf } from "../base/errors.js";
import type { Log } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { isNewEnough } from "../contracts/nats-version.js";
import { cacheFolders, type Environment } from "./cache-folder.js";
import { fetchNatsServer } from "./fetch.js";
import { versionOfBinary } from "./version.js";

/** How a server was found: by `$NATS_SERVER_BIN`, on the `PATH`, in the cache from an earlier fetch, or fetched now. */
export type FoundBy = "environment" | "path" | "cache" | "fetch";

/** A nats-server that can be run here and is new enough. */
export interface NatsBinary {
  readonly path: string;
  /** `2.15.1` */
  readonly version: string;
  readonly foundBy: FoundBy;
}

interface Candidate {
  readonly path: string;
  readonly foundBy: FoundBy;
}

const program = "nats-server";

/**
 * Looks for a nats-server: `$NATS_SERVER_BIN`, the `PATH`, the one fetched before; then fetches one, unless
 * `fetch` is false. One that is too old or cannot be run is passed over with a warning.
 *
 * @throws RollcallError `NATS_TOO_OLD` only older ones than 2.12 were found; `NATS_FETCH_FAILED`; `NATS_NOT_FOUND` with `fetch: false`
 */
export async function findNatsServer(options: {
  env: Environment;
  /** Rollcall's data folder, where a fetched one goes when the user's cache cannot be written. */
  dataDir: string;
  fetch?: boolean;
  log: Log;
}): Promise<NatsBinary> {
  const { env, dataDir, log } = options;
  let tooOld: { version: string; where: string } | undefined;
  for (const { path, foundBy } of await candidates(env, dataDir)) {
    try {
      const version = await versionOfBinary(path);
      if (isNewEnough(version)) return { path, version, foundBy };
      log.warn({ path, version, foundBy }, "this nats-server is too old and is passed over");
      tooOld ??= { version, where: path };
    } catch (error) {
      log.warn(
        { path, foundBy, problem: messageOf(error) },
        "this nats-server cannot be run and is passed over",
      );
    }
  }
  if (options.fetch === false) throw tooOld ? refusal("NATS_TOO_OLD", tooOld) : refusal("NATS_NOT_FOUND");
  try {
    return { ...(await fetchNatsServer({ env, dataDir, log })), foundBy: "fetch" };
  } catch (error) {
    throw tooOld ? refusal("NATS_TOO_OLD", tooOld, error) : error;
  }
}

async function candidates(env: Environment, dataDir: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  if (env.NATS_SERVER_BIN) found.push({ path: resolve(env.NATS_SERVER_BIN), foundBy: "environment" });
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    const path = join(folder, program);
    if (folder !== "" && (await isExecutable(path))) found.push({ path: resolve(path), foundBy: "path" });
  }
  for (const folder of cacheFolders(env, dataDir)) {
    const path = join(folder, "bin", program);
    if (await isExecutable(path)) found.push({ path, foundBy: "cache" });
  }
  return found;
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
