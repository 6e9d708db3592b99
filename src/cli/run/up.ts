import { mkdir, rm } from "node:fs/promises";
import type { RollcallError } from "../../base/errors.js";
import { lockFolder } from "../../base-node/folder-lock.js";
import { createLog } from "../../base-node/log.js";
import type { RunningNats } from "../../nats-server/running-nats.js";
import type { CliIo } from "../cli-io.js";
import type { UpOptions } from "../commands/long-running.js";
import { contextPath, writeContext } from "../context.js";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { startControlPlane } from "./control-plane.js";
import { startNats } from "./folder-nats.js";
import { untilSignal } from "./until-signal.js";

/**
 * `rollcall up`: a NATS server, unless one is named, and a coordinator, until a signal ends both. The data folder is
 * locked, so that a second one refuses by the name of the first.
 */
export async function runUp(options: UpOptions, io: CliIo): Promise<ExitCode> {
  const { target, logLevel } = options;
  const { dataDir, fleet } = target;
  const log = createLog({ level: logLevel, name: "rollcall up" });
  await mkdir(dataDir, { recursive: true });
  const lock = await lockFolder(dataDir);
  const signalled = untilSignal();
  let nats: RunningNats | undefined;
  try {
    // What an earlier `up` left in the context is its own server, which is adopted by its folder.
    const isNamed = target.source === "--nats" || target.source === "NATS_URL";
    nats = isNamed ? undefined : await startNats(dataDir, io, log);
    const { url, user, password } = nats ?? {
      url: target.url ?? "",
      user: target.user,
      password: target.password,
    };
    const plane = await startControlPlane(
      {
        url,
        user,
        password,
        fleet,
        name: options.name,
        leaseMs: undefined,
        replicas: options.replicas,
        auditFile: options.auditFile,
        reconcileEveryMs: options.reconcileEveryMs,
        apps: options.apps,
        log,
      },
      io,
    );
    await writeContext(dataDir, {
      format: 1,
      url,
      user: user ?? null,
      password: password ?? null,
      fleet,
      pid: process.pid,
      natsPid: nats?.pid ?? null,
      startedAtMs: io.clock.nowMs(),
    });
    say(options, io, url);
    const ended = await Promise.race([signalled, natsGivesUp(nats)]);
    await plane.stop();
    await rm(contextPath(dataDir), { force: true });
    if (typeof ended !== "string") throw ended;
    return exitCodes.done;
  } finally {
    await nats?.stop();
    await lock.release();
  }
}

/** Resolves with the reason if the server cannot be kept running; never otherwise. */
function natsGivesUp(nats: RunningNats | undefined): Promise<RollcallError> {
  return new Promise((resolve) => nats?.onExit(resolve));
}

function say({ target, json }: UpOptions, { stdout }: CliIo, url: string): void {
  const { dataDir, fleet } = target;
  if (json) {
    stdout.write(`${JSON.stringify({ url, fleet, dataDir, pid: process.pid })}\n`);
    return;
  }
  const lines = [
    `Rollcall is up: fleet ${fleet}, NATS at ${url}, state in ${dataDir}. Ctrl-C ends it.`,
    "",
    "Next, in another terminal in this folder:",
    "  rollcall agent --instance web-1:tier=web",
    "  rollcall releases push v1 ./my-service",
    "  rollcall deploy --release v1 --all --wait",
  ];
  stdout.write(`${lines.join("\n")}\n`);
}
