import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  findByArgument,
  identify,
  isAlive,
  killGroup,
  type ProcessIdentity,
} from "../../src/base-node/process-identity.js";

/** The command `rollcall` of this checkout. */
const rollcall = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const lookEveryMs = 50;
const graceMs = 15_000;
const outputCharactersMax = 1_048_576;

/** How a command ended, and what it said if it was quiet. */
export interface CommandEnd {
  readonly code: number;
  readonly output: string;
}

/**
 * The processes of one story, each a group of its own. All are started under a name that is this folder's alone, so
 * that those of a story that was killed are found by the next one, whenever it was killed.
 */
export class StoryProcesses {
  readonly #dataDir: string;
  readonly #name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #started: ProcessIdentity[] = [];
  readonly #commands = new Set<ChildProcess>();
  #ending = false;

  constructor(dataDir: string, env: NodeJS.ProcessEnv) {
    this.#dataDir = dataDir;
    this.#name = `rollcall-story-${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`;
    this.#env = env;
  }

  /** Ends what an earlier story in this folder left running. Returns how many processes that were. */
  async reap(): Promise<number> {
    const left = findByArgument(this.#name);
    await endAll(left);
    return left.length;
  }

  /** Starts a `rollcall` command that stays; what it says goes into `<name>.log`. */
  start(name: string, args: readonly string[]): void {
    this.#refuseWhileEnding();
    const logs = join(this.#dataDir, "logs");
    mkdirSync(logs, { recursive: true });
    const log = openSync(join(logs, `${name}.log`), "a");
    const child = spawn(process.execPath, [rollcall, ...args], {
      argv0: this.#name,
      detached: true,
      stdio: ["ignore", log, log],
      env: this.#env,
    });
    closeSync(log);
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity === undefined) throw new Error(`${name} did not start: see ${join(logs, `${name}.log`)}`);
    this.#started.push(identity);
  }

  /** Whether everything that was started still runs. */
  allAlive(): boolean {
    return this.#started.every(isAlive);
  }

  /** Runs a `rollcall` command to its end, on this terminal unless told to be quiet. */
  async run(args: readonly string[], options: { quiet?: boolean } = {}): Promise<CommandEnd> {
    this.#refuseWhileEnding();
    const output = options.quiet ? "pipe" : "inherit";
    const child = spawn(process.execPath, [rollcall, ...args], {
      argv0: this.#name,
      stdio: ["ignore", output, output],
      env: this.#env,
    });
    this.#commands.add(child);
    try {
      return await ended(child);
    } finally {
      this.#commands.delete(child);
    }
  }

  /** Ends everything; from now on nothing is started. */
  async stop(): Promise<void> {
    this.#ending = true;
    for (const command of this.#commands) command.kill("SIGTERM");
    // The agents first, so that each can still end its service in order; the control plane, started first, goes last.
    const [controlPlane, ...agents] = this.#started;
    await endAll(agents);
    if (controlPlane !== undefined) await endAll([controlPlane]);
    // Also what an earlier story left, if this one was interrupted before it was through with it.
    await endAll(findByArgument(this.#name));
  }

  #refuseWhileEnding(): void {
    if (this.#ending) throw new Error("the story ends");
  }
}

function ended(child: ChildProcess): Promise<CommandEnd> {
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-outputCharactersMax);
    });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** SIGTERM to each process, SIGKILL to the groups of those that are still there after a while. */
async function endAll(identities: readonly ProcessIdentity[]): Promise<void> {
  for (const identity of identities) endOne(identity);
  for (let waitedMs = 0; waitedMs < graceMs && identities.some(isAlive); waitedMs += lookEveryMs)
    await sleep(lookEveryMs);
  for (const identity of identities) killGroup(identity, "SIGKILL");
}

function endOne(identity: ProcessIdentity): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, "SIGTERM");
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
