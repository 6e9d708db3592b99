import { mkdir } from "node:fs/promises";
import type { Log } from "../../base/ports.js";
import { lockFolder } from "../../base-node/folder-lock.js";
import { findNatsServer } from "../../nats-server/find.js";
import { runNatsServer } from "../../nats-server/run.js";
import type { RunningNats } from "../../nats-server/running-nats.js";
import type { CliIo } from "../cli-io.js";

/** Starts the NATS server of a data folder, or adopts the living one. */
export async function startNats(dataDir: string, { clock, env }: CliIo, log: Log): Promise<RunningNats> {
  const { path, version, foundBy } = await findNatsServer({ env, dataDir, log });
  log.info({ path, version, foundBy }, "a nats-server was found");
  return runNatsServer({ binary: path, dataDir, clock, log });
}

/**
 * Runs the NATS server of a data folder for as long as `work` takes: for what is done to a fleet while nothing else of it runs.
 *
 * @throws RollcallError `FOLDER_LOCKED` while a `rollcall up` has the folder, `NATS_NOT_FOUND`, `NATS_START_FAILED`; what `work` throws
 */
export async function withFolderNats<T>(
  dataDir: string,
  io: CliIo,
  { log, work }: { readonly log: Log; readonly work: (nats: RunningNats) => Promise<T> },
): Promise<T> {
  await mkdir(dataDir, { recursive: true });
  const lock = await lockFolder(dataDir);
  try {
    const nats = await startNats(dataDir, io, log);
    try {
      return await work(nats);
    } finally {
      await nats.stop();
    }
  } finally {
    await lock.release();
  }
}
