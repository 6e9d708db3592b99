import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { readJsonFile, writeFileAtomic } from "../../src/base-node/atomic-file.js";
import { identify, isAlive, killGroup, type ProcessIdentity } from "../../src/base-node/process-identity.js";

/** The command `rollcall` of this checkout. */
const rollcall = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const lookEveryMs = 50;
const graceMs = 15_000;

const startedSchema = z.array(z.object({ pid: z.int(), startTime: z.string(), bootId: z.string() }));

/**
 * The processes of one story, each a group of its own, written down before they are needed: a story that was
 * killed leaves them behind, and the next one ends them.
 */
export class StoryProcesses {
  readonly #dataDir: string;
  readonly #file: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #started: ProcessIdentity[] = [];

  constructor(dataDir: string, env: NodeJS.ProcessEnv) {
    this.#dataDir = dataDir;
    this.#file = join(dataDir, "story.json");
    this.#env = env;
  }

  /** Ends what an earlier story in this folder left running. Returns how many processes that were. */
  async reap(): Promise<number> {
    const left = startedSchema.safeParse(await readJsonFile(this.#file));
    if (!left.success) return 0;
    const alive = left.data.filter(isAlive);
    await endAll(alive);
    return alive.length;
  }

  /** Starts a `rollcall` command that stays; what it says goes into `<name>.log`. */
  async start(name: string, args: readonly string[]): Promise<void> {
    const logs = join(this.#dataDir, "logs");
    mkdirSync(logs, { recursive: true });
    const log = openSync(join(logs, `${name}.log`), "a");
    const child = spawn(process.execPath, [rollcall, ...args], {
      detached: true,
      stdio: ["ignore", log, log],
      env: this.#env,
    });
    closeSync(log);
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity === undefined) throw new Error(`${name} did not start: see ${join(logs, `${name}.log`)}`);
    this.#started.push(identity);
    await writeFileAtomic(this.#file, JSON.stringify(this.#started), 0o600);
  }

  /** Whether everything that was started still runs. */
  allAlive(): boolean {
    return this.#started.every(isAlive);
  }

  /** Runs a `rollcall` command to its end, on this terminal unless told to be quiet. Returns its exit code. */
  async run(args: readonly string[], options: { quiet?: boolean } = {}): Promise<number> {
    const child = spawn(process.execPath, [rollcall, ...args], {
      stdio: options.quiet ? "ignore" : ["ignore", "inherit", "inherit"],
      env: this.#env,
    });
    return ended(child);
  }

  async stop(): Promise<void> {
    // The agents first, so that each can still end its service in order; the control plane, started first, goes last.
    const [controlPlane, ...agents] = this.#started;
    await endAll(agents);
    if (controlPlane !== undefined) await endAll([controlPlane]);
    await rm(this.#file, { force: true });
  }
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** SIGTERM to each process, SIGKILL to the groups of those that are still there after a while. */
async function endAll(identities: readonly ProcessIdentity[]): Promise<void> {
  for (const { pid } of identities.filter(isAlive)) process.kill(pid, "SIGTERM");
  for (let waitedMs = 0; waitedMs < graceMs && identities.some(isAlive); waitedMs += lookEveryMs)
    await sleep(lookEveryMs);
  for (const identity of identities) killGroup(identity, "SIGKILL");
}
