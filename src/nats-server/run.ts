import { mkdir, realpath } from "node:fs/promises";
import type { Clock, Log } from "../base/ports.js";
import { openServer } from "./open-server.js";
import type { RestartLimit } from "./restart-limit.js";
import type { RunningNats } from "./running-nats.js";
import { ServerKeeper } from "./server-keeper.js";

export interface RunNatsOptions {
  /** The path of nats-server, see `findNatsServer`. */
  readonly binary: string;
  /** Rollcall's data folder; whoever calls holds its lock (`lockFolder`). */
  readonly dataDir: string;
  /** The port to listen on, instead of the one kept from the last start or a free one. */
  readonly port?: number;
  /** Bytes that JetStream may store, instead of half of the free disk and at most 20 GiB. */
  readonly storeBytesMax?: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly restartLimit?: RestartLimit;
}

const defaultRestartLimit: RestartLimit = {
  restartsMax: 5,
  withinMs: 60_000,
  backoffMs: 50,
  backoffMaxMs: 5_000,
};

/**
 * Runs the server of a data folder: the living one of an earlier run is adopted, one that does not answer is ended
 * and replaced. It listens on loopback, keeps its port, credentials and store, is started again whenever it ends, and survives
 * this process, so that a coordinator that was killed finds its ledger where it was.
 *
 * @throws RollcallError `NATS_START_FAILED`
 */
export async function runNatsServer(options: RunNatsOptions): Promise<RunningNats> {
  const { binary, clock, log, port, storeBytesMax } = options;
  await mkdir(options.dataDir, { recursive: true });
  const dataDir = await realpath(options.dataDir);
  const opened = await openServer({ binary, dataDir, port, storeBytesMax, clock, log });
  const keeper = new ServerKeeper({
    ...opened,
    binary,
    clock,
    log,
    restartLimit: options.restartLimit ?? defaultRestartLimit,
  });
  keeper.watch();
  return keeper;
}
