import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createProbes } from "../../agent/adapters/probes.js";
import { createProcesses } from "../../agent/adapters/processes.js";
import { createRecordFiles } from "../../agent/adapters/record-files.js";
import { createReleaseFiles } from "../../agent/adapters/release-files.js";
import { createAgent } from "../../agent/agent.js";
import { processKey } from "../../agent/journal.js";
import { refuseTwin } from "../../agent/twin.js";
import { lockFolder } from "../../base-node/folder-lock.js";
import { createLog } from "../../base-node/log.js";
import { createLateBus } from "../../bus/late-bus.js";
import { connectNatsBus } from "../../bus/nats-bus.js";
import { refusal } from "../../contracts/errors.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { openLedgerReader } from "../../ledger/ledger-reader.js";
import { openObjectsReader } from "../../ledger/nats-objects.js";
import { createActorHost } from "../../runtime/actor-host.js";
import type { CliIo } from "../cli-io.js";
import type { AgentOptions } from "../commands/long-running.js";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { productVersion } from "../product-version.js";
import { untilSignal } from "./until-signal.js";

/** `rollcall agent`: the instances of one host, until a signal ends it. Their services go on unless told otherwise. */
export async function runAgent(options: AgentOptions, io: CliIo): Promise<ExitCode> {
  const { target, instances } = options;
  const { clock, random } = io;
  const { url, user, password, fleet } = target;
  if (url === undefined) throw refusal("NO_CONTROL_PLANE", { fleet });
  const log = createLog({ level: options.logLevel, name: "rollcall agent" });
  const signalled = untilSignal();
  const name = options.name ?? instances[0]?.id ?? "agent";
  const dataDir = join(target.dataDir, "agents", name);
  await mkdir(dataDir, { recursive: true });
  const lock = await lockFolder(dataDir);
  const connect = () =>
    connectNatsBus({
      servers: url,
      user,
      pass: password,
      name: `rollcall agent ${name}`,
      inboxPrefix: target.inboxPrefix,
      clock,
      log,
    });
  const bus = createLateBus({ connect, clock, log });
  const records = createRecordFiles(join(dataDir, "journal"));
  const processes = createProcesses({ dataDir, clock, random, log });
  try {
    const [{ id: first } = { id: name }] = instances;
    await refuseTwin({ bus, clock, log, records }, fleet, first);
    const files = createReleaseFiles({
      dataDir,
      objects: openObjectsReader({ fleet, bus, clock }),
      clock,
      random,
      log,
      ...(options.routesFile === undefined ? {} : { routesFile: resolve(io.cwd, options.routesFile) }),
      ...(options.reloadCommand === undefined ? {} : { reloadCommand: options.reloadCommand }),
    });
    const host = createActorHost({
      node: name,
      clock,
      random,
      log,
      bus,
      subjects: subjectsOf(fleet),
      answersFor: actorsOf(instances),
    });
    const agent = createAgent(
      {
        clock,
        random,
        log,
        bus,
        ledger: openLedgerReader(bus, fleet),
        files,
        processes,
        probes: createProbes({ dataDir, clock, random }),
        records,
        host,
      },
      { fleet, agentVersion: productVersion(), instances },
    );
    await agent.start();
    log.info(
      { fleet, agent: agent.agentId, instances: instances.map(({ id }) => id), url },
      "the agent runs",
    );
    log.info({ signal: await signalled }, "the agent ends");
    await agent.stop({ leave: options.leave, stopProcesses: options.stopProcesses });
    host.stop();
    return exitCodes.done;
  } finally {
    processes.close();
    await bus.close();
    await lock.release();
  }
}

/** The actors of these instances: an agent's credentials may allow to answer for no others. */
function actorsOf(instances: AgentOptions["instances"]): { kind: string; id: string }[] {
  return instances.flatMap(({ id }) => [
    { kind: "*", id },
    ...(["a", "b"] as const).map((slot) => ({ kind: "process", id: processKey(id, slot) })),
  ]);
}
