import { type ChildProcess, spawn } from "node:child_process";
import { lstat } from "node:fs/promises";
import type { ProcessExit, ProcessIdentity, ProcessStart } from "../ports.js";
import { childEnvironment } from "./child-environment.js";
import { ifThere } from "./disk-errors.js";
import { oneLine } from "./printable.js";
import { identifyChild } from "./process-marks.js";
import { argumentsOf } from "./shell-command.js";

/** A started program. */
export interface Launched {
  /** `undefined` if it had ended before it could be looked at, which can be only where there is no `/proc`. */
  readonly identity: ProcessIdentity | undefined;
  readonly exited: Promise<ProcessExit>;
}

/** Why a program could not be run at all. */
export interface NotLaunched {
  readonly problem: string;
}

/**
 * Starts a service as the leader of a process group and session of its own, so that it outlives the agent, with its output going
 * to an open file. (Through a pipe its first output after the agent's end would end it.)
 *
 * @param marks variables of the environment that the service cannot override
 */
export async function launchService(
  start: ProcessStart,
  marks: Readonly<Record<string, string>>,
  output: number,
): Promise<Launched | NotLaunched> {
  const [program, ...args] = argumentsOf(start.command);
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: start.cwd,
      env: childEnvironment({ ...start.env, ...marks }),
      detached: true,
      stdio: ["ignore", output, output],
    });
  } catch (thrown) {
    return { problem: oneLine(thrown instanceof Error ? thrown.message : String(thrown)) };
  }
  if (child.pid === undefined) return { problem: await whyNotLaunched(start, program, child) };
  const identity = identifyChild(child.pid);
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  child.unref();
  return { identity, exited };
}

async function whyNotLaunched(start: ProcessStart, program: string, child: ChildProcess): Promise<string> {
  const error = await new Promise<Error>((resolve) => child.once("error", resolve));
  // The system says ENOENT for a missing program and for a missing folder alike.
  const folder = await ifThere(lstat(start.cwd));
  if (folder === undefined) return `its folder ${start.cwd} is not there`;
  return `${oneLine(program)} cannot be run (${oneLine(error.message)})`;
}
