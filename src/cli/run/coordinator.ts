import { createLog } from "../../base-node/log.js";
import { refusal } from "../../contracts/errors.js";
import type { CliIo } from "../cli-io.js";
import type { CoordinatorOptions } from "../commands/long-running.js";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { startControlPlane } from "./control-plane.js";
import { untilSignal } from "./until-signal.js";

/** `rollcall coordinator`: one coordinator, until a signal ends it. */
export async function runCoordinator(options: CoordinatorOptions, io: CliIo): Promise<ExitCode> {
  const { target, logLevel, name, leaseMs, reconcileEveryMs, apps, replicas, auditFile } = options;
  const { url, user, password, fleet } = target;
  if (url === undefined) throw refusal("NO_CONTROL_PLANE", { fleet });
  const log = createLog({ level: logLevel, name: "rollcall coordinator" });
  const signalled = untilSignal();
  const running = await startControlPlane(
    { url, user, password, fleet, name, leaseMs, reconcileEveryMs, apps, replicas, auditFile, log },
    io,
  );
  log.info({ fleet, coordinator: running.name, url }, "the coordinator runs");
  log.info({ signal: await signalled }, "the coordinator hands over and ends");
  await running.stop();
  return exitCodes.done;
}
