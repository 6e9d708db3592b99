import { join } from "node:path";
import type { CallLimits } from "../../machines/app-facts.js";
import { createRecordFiles } from "../agent/adapters/record-files.js";
import type { AppEngine } from "../agent/app-engine.js";
import { type AppAgent, createAppAgent } from "../agent/apps/app-agent.js";
import type { Bus, Clock, Log, Random, RecordStore } from "../base/ports.js";
import { type FolderLock, lockFolder } from "../base-node/folder-lock.js";
import { createLateBus } from "../bus/late-bus.js";
import { connectNatsBus } from "../bus/nats-bus.js";
import type { NatsBusOptions } from "../bus/nats-connect.js";
import { openLedgerReader } from "../ledger/ledger-reader.js";
import { createRealRandom } from "../runtime/random.js";
import { createRealClock } from "../runtime/real-clock.js";
import { silentLog } from "./silent-log.js";

export interface EmbedAppsOptions {
  /** The address of NATS (`nats://user:password@host:4222`), how to reach it, or a bus that is connected already and stays the caller's. */
  readonly nats: string | Omit<NatsBusOptions, "clock" | "log" | "name"> | Bus;
  /** The instance whose apps these are; unique in its fleet, and the same after a restart. */
  readonly instance: string;
  /** Default: `default`. */
  readonly fleet?: string;
  readonly engine: AppEngine;
  /** A folder of this process alone, in which it keeps what was asked: then it runs without a control plane too, after a restart. */
  readonly data?: string;
  /** The version of this program, in reports. Default: empty. */
  readonly version?: string;
  /** The longest that each call of the engine may take. Default: install 120 s, uninstall 60 s, the others 30 s. */
  readonly limitsMs?: Partial<CallLimits>;
  /** Until a coordinator assigns another: time between two reports. Default 2,000. */
  readonly reportIntervalMs?: number;
  /** Default: nobody reads it. */
  readonly log?: Log;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly random?: Random;
}

/** The apps of this process's instance. */
export type EmbeddedApps = Pick<AppAgent, "stateOf" | "states" | "stats" | "stop">;

/**
 * Runs the apps of an instance inside this process, as administrators want them, and says what they come to. Resolves at once also where NATS cannot
 * be reached: that is tried for ever.
 *
 * @throws RollcallError `BAD_NAME` the instance's id, `FOLDER_LOCKED` another process uses `data`, `LEDGER_NEWER` a newer Rollcall wrote it
 * @example
 * const apps = await embedApps({ nats: "nats://127.0.0.1:4222", instance: "web-1", engine: createModuleEngine({ folder: "apps" }) });
 * console.log(apps.states());
 * process.once("SIGTERM", () => apps.stop());
 */
export async function embedApps(options: EmbedAppsOptions): Promise<EmbeddedApps> {
  const {
    fleet = "default",
    instance,
    engine,
    data,
    nats,
    version = "",
    limitsMs,
    reportIntervalMs,
  } = options;
  const { clock = createRealClock(), random = createRealRandom(), log = silentLog } = options;
  const lock = data === undefined ? undefined : await lockFolder(data);
  const owned = isBus(nats) ? undefined : busOf(nats, { instance, clock, log });
  const bus = owned ?? (nats as Bus);
  const end = async (): Promise<void> => {
    await owned?.close();
    await lock?.release();
  };
  try {
    const ledger = openLedgerReader(bus, fleet);
    const records = lock === undefined ? nothingKept : createRecordFiles(join(lock.folder, "journal"));
    const agent = createAppAgent(
      { clock, random, log, bus, ledger, engine, records },
      {
        fleet,
        instance,
        agentVersion: version,
        ...(limitsMs !== undefined && { limitsMs }),
        ...(reportIntervalMs !== undefined && { reportIntervalMs }),
      },
    );
    await agent.start();
    return ownerOf(agent, end);
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

function ownerOf(agent: AppAgent, end: () => Promise<void>): EmbeddedApps {
  return {
    stateOf: (app) => agent.stateOf(app),
    states: () => agent.states(),
    get stats() {
      return agent.stats;
    },
    async stop(how) {
      await agent.stop(how);
      await end();
    },
  };
}

function isBus(nats: EmbedAppsOptions["nats"]): nats is Bus {
  return typeof nats === "object" && "publish" in nats;
}

function busOf(
  nats: Exclude<EmbedAppsOptions["nats"], Bus>,
  { instance, clock, log }: { instance: string; clock: Clock; log: Log },
): Bus {
  const how = typeof nats === "string" ? { servers: nats } : nats;
  const connect = () => connectNatsBus({ name: `apps of ${instance}`, ...how, clock, log });
  return createLateBus({ connect, clock, log });
}

/** Without a folder nothing survives the process. */
const nothingKept: RecordStore = {
  load: async () => [],
  save: async () => undefined,
  remove: async () => undefined,
};
