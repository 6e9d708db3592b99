import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, stat } from "node:fs/promises";
import { messageOf } from "../base/errors.js";
import type { Clock } from "../base/ports.js";
import type { ProcessIdentity } from "../base-node/process-identity.js";
import { groupMembers, identify, isAlive, killGroup } from "../base-node/process-identity.js";
import { refusal } from "../contracts/errors.js";
import type { ProbeTarget } from "./probe.js";
import { probeServer } from "./probe.js";
import type { ServerPlaces } from "./server-config.js";

/** Ready after 30 ms [measured]; a store of many gigabytes is read through before that. */
const readyTimeoutMs = 60_000;
const probeTimeoutMs = 2_000;
const probeEveryMs = 10;
/** An orderly end writes its state down; with thousands of consumers it took 11 s [measured]. */
const stopGraceMs = 20_000;
const killTimeoutMs = 5_000;
const lookEveryMs = 10;
const outputBytesMax = 1024 * 1024;
const wordsBytesMax = 16 * 1024;

/** A server process of ours, a child of this process or adopted from an earlier one. */
export interface ServerProcess {
  readonly identity: ProcessIdentity;
  /** The handle of a child; `undefined` for an adopted one. */
  readonly child: ChildProcess | undefined;
  /** How long its files were when it started: what follows is what it said. */
  readonly saidFrom: SaidFrom;
}

interface SaidFrom {
  readonly log: number;
  readonly output: number;
}

/**
 * Starts a server in a process group and session of its own, so that it outlives this process and no Ctrl-C of a
 * terminal reaches it. Its output goes to a file, for a pipe would end with us.
 *
 * @throws RollcallError `NATS_START_FAILED`
 */
export async function spawnServer(binary: string, places: ServerPlaces): Promise<ServerProcess> {
  const saidFrom = await whereItWillSpeak(places);
  const output = await open(places.output, saidFrom.output === 0 ? "w" : "a", 0o600);
  try {
    const child = spawn(binary, ["-c", places.config], {
      cwd: places.folder,
      detached: true,
      stdio: ["ignore", output.fd, output.fd],
    });
    await once(child, "spawn");
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity === undefined) throw new Error(`it ended at once: ${await lastWords(places, saidFrom)}`);
    return { identity, child, saidFrom };
  } catch (error) {
    throw refusal("NATS_START_FAILED", { problem: messageOf(error), log: places.log }, error);
  } finally {
    await output.close();
  }
}

/**
 * Resolves when the server lets us in and its JetStream answers.
 *
 * @throws RollcallError `NATS_START_FAILED` when it ended, when another server answers on its port, or after `timeoutMs`
 */
export async function untilReady(
  server: ServerProcess,
  target: ProbeTarget & { serverName: string },
  options: { places: ServerPlaces; clock: Clock; timeoutMs?: number },
): Promise<void> {
  const { places, clock, timeoutMs = readyTimeoutMs } = options;
  const latestAt = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const problem = await problemOf(target);
    if (problem === undefined) return;
    if (!isAlive(server.identity)) {
      throw refusal("NATS_START_FAILED", {
        problem: await lastWords(places, server.saidFrom),
        log: places.log,
      });
    }
    if (clock.monotonicMs() > latestAt) {
      throw refusal("NATS_START_FAILED", {
        problem: `no answer in ${timeoutMs} ms (${problem})`,
        log: places.log,
      });
    }
    await pause(clock, probeEveryMs);
  }
}

async function problemOf(target: ProbeTarget & { serverName: string }): Promise<string | undefined> {
  try {
    const { serverName } = await probeServer(target, probeTimeoutMs);
    return serverName === target.serverName ? undefined : `another server, ${serverName}, answers`;
  } catch (error) {
    return messageOf(error);
  }
}

/** Ends a server orderly, or by force when that takes too long; resolves when nothing of it is left. */
export async function endServer(identity: ProcessIdentity, clock: Clock): Promise<void> {
  for (const [signal, limitMs] of [
    ["SIGTERM", stopGraceMs],
    ["SIGKILL", killTimeoutMs],
  ] as const) {
    const latestAt = clock.monotonicMs() + limitMs;
    if (!killGroup(identity, signal)) return;
    // A stopped process takes no SIGTERM before it goes on.
    if (signal === "SIGTERM") killGroup(identity, "SIGCONT");
    while (clock.monotonicMs() < latestAt) {
      if (groupMembers(identity).length === 0) return;
      await pause(clock, lookEveryMs);
    }
  }
  throw new Error(`process ${identity.pid} is still there ${killTimeoutMs} ms after SIGKILL`);
}

/** Resolves after `delayMs`. */
export async function pause(clock: Clock, delayMs: number): Promise<void> {
  await new Promise<void>((resolve) => clock.setTimer(delayMs, resolve));
}

/** The ends of both files; the output's file, which nobody rotates, begins anew when it is large. */
async function whereItWillSpeak(places: ServerPlaces): Promise<SaidFrom> {
  const output = await sizeOf(places.output);
  return { log: await sizeOf(places.log), output: output > outputBytesMax ? 0 : output };
}

/** The lines with which a server explained why it does not run. */
async function lastWords(places: ServerPlaces, from: SaidFrom): Promise<string> {
  const texts = await Promise.all([textFrom(places.output, from.output), textFrom(places.log, from.log)]);
  const lines = texts.flatMap((text) => text.split("\n")).filter((line) => line.trim() !== "");
  const fatal = lines.filter((line) => /\[FTL\]|^nats-server:|^panic:/.test(line)).slice(-1);
  return (
    (fatal.length > 0 ? fatal : lines.slice(-3)).join(" / ").slice(0, 1_000) || "it ended without a word"
  );
}

async function textFrom(path: string, offset: number): Promise<string> {
  const size = await sizeOf(path);
  if (size === 0) return "";
  const file = await open(path, "r");
  try {
    const start = Math.max(size < offset ? 0 : offset, size - wordsBytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}
