import { join } from "node:path";
import { createRecordFiles } from "../agent/adapters/record-files.js";
import { type AppAgent, createAppAgent } from "../agent/apps/app-agent.js";
import type { Bus, Clock, Log, RecordStore } from "../base/ports.js";
import { lockFolder } from "../base-node/folder-lock.js";
import { createLog } from "../base-node/log.js";
import { createLateBus, type LateBus } from "../bus/late-bus.js";
import { connectNatsBus } from "../bus/nats-bus.js";
import { openLedgerReader } from "../ledger/ledger-reader.js";
import { createRealRandom } from "../runtime/random.js";
import { createRealClock } from "../runtime/real-clock.js";
import { checkEmbedOptions, type EmbedAppsOptions, isBus } from "./embed-options.js";

/** The apps of this process's instance. */
export type EmbeddedApps = Pick<AppAgent, "stateOf" | "states" | "stats" | "stop">;

/**
 * Runs the apps of an instance inside this process, as administrators want them, and says what they come to. Where NATS cannot be reached, be it
 * for wrong credentials, it resolves all the same once the first try has failed, after 5 s at most, runs what was asked last, and tries for ever: the log says why.
 *
 * @throws RollcallError `BAD_NAME`, `BAD_OPTION`, `FOLDER_LOCKED` another process uses `data`, `FOLDER_UNUSABLE`, `LEDGER_NEWER` a newer Rollcall wrote it
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
  checkEmbedOptions(options);
  const { clock = createRealClock(), random = createRealRandom() } = options;
  const { log = createLog({ level: "warn", name: "rollcall apps" }) } = options;
  const lock = data === undefined ? undefined : await lockFolder(data);
  const owned = isBus(nats) ? undefined : busOf(nats, { instance, clock, log });
  const bus = owned ?? (nats as Bus);
  const end = async (): Promise<void> => {
    await owned?.close();
    await lock?.release();
  };
  try {
    // What is asked now is read before what was asked last is done again.
    await owned?.tried;
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

function busOf(
  nats: Exclude<EmbedAppsOptions["nats"], Bus>,
  { instance, clock, log }: { instance: string; clock: Clock; log: Log },
): LateBus {
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
