import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Context } from "../../src/cli/context.js";
import {
  type Client,
  connectNatsBus,
  createClient,
  type DeploymentView,
  type InstanceView,
  type NatsBus,
} from "../../src/index.js";
import { commandLine } from "../cli/run-cli.js";
import { eventually } from "../kit/eventually.js";
import { natsBinary } from "../kit/nats.js";
import { makeTempDir } from "../kit/temp-dir.js";
import { killAllIn } from "./left-processes.js";

/** How a program ended, and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout(): string;
  stderr(): string;
  /** Asks it to end and waits until it has. */
  end(signal?: "SIGTERM" | "SIGINT" | "SIGHUP"): Promise<Ended>;
  /** What it has started may still run, and hold its output. */
  kill9(): Promise<void>;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const startMaxMs = 60_000;

const worlds: World[] = [];

// Registered by the import, and so also for a world that is made within a test; before the folders are removed.
afterAll(async () => {
  for (const world of worlds) await world.close();
});

/**
 * What one user has: a folder in which `rollcall` commands run as processes of their own, with nothing configured. Whatever
 * still runs there after the tests of the file is killed.
 */
export class World {
  readonly dir = makeTempDir();
  readonly dataDir = join(this.dir, ".rollcall");

  #bus: NatsBus | undefined;

  constructor() {
    worlds.push(this);
  }

  /** Kills whatever still runs here. */
  async close(): Promise<void> {
    await this.#bus?.close();
    killAllIn(this.dir);
  }

  /** What the package exports for other programs. Looking through it again and again costs less than a command does. */
  async client(): Promise<Client> {
    const { url, user, password } = this.context();
    this.#bus ??= await connectNatsBus({ servers: url, user: user ?? "", pass: password ?? "" });
    return createClient({ bus: this.#bus, fleet: "default" });
  }

  /** Starts a `rollcall` command. */
  async start(args: readonly string[], options: RunOptions = {}): Promise<Running> {
    return await this.startProgram(commandLine(args), options);
  }

  /** Starts any program in the folder, with nothing of this process's environment that could change what it does. */
  async startProgram(
    [program = "", ...args]: readonly string[],
    { env, cwd = this.dir }: RunOptions = {},
  ): Promise<Running> {
    const child = spawn(program, args, {
      cwd,
      env: {
        PATH: process.env.PATH ?? "",
        HOME: process.env.HOME ?? "",
        NATS_SERVER_BIN: await natsBinary(),
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const written = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        written[name] += text;
      });
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal, ...written }));
    });
    // Who never asks for its end is not told of it.
    ended.catch(() => undefined);
    const exited = once(child, "exit");
    exited.catch(() => undefined);
    return {
      pid: child.pid ?? 0,
      child,
      ended,
      stdout: () => written.stdout,
      stderr: () => written.stderr,
      end: async (signal = "SIGTERM") => {
        child.kill(signal);
        return await ended;
      },
      kill9: async () => {
        child.kill("SIGKILL");
        await exited;
      },
    };
  }

  /** Runs a `rollcall` command to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const running = await this.start(args, options);
    return await running.ended;
  }

  /** Runs a command that has to succeed; returns what it wrote. */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    if (code !== 0) throw new Error(`rollcall ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** The reply of a command that has to succeed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, "--json")) as T;
  }

  /** `rollcall up`; resolves once it says that it is up. */
  async up(args: readonly string[] = [], options: RunOptions = {}): Promise<Running> {
    const up = await this.start(["up", ...args], options);
    await this.#until(up, "rollcall up", () => up.stdout().includes("Rollcall is up"));
    return up;
  }

  /** `rollcall agent` with `--stop-processes`; resolves once all of its instances have reported. */
  async agent(instances: readonly string[], args: readonly string[] = [], options: RunOptions = {}) {
    const agent = await this.startAgent(instances, ["--stop-processes", ...args], options);
    const ids = instances.map((instance) => instance.split(":")[0] ?? "");
    await this.#until(agent, "rollcall agent", async () => {
      const items = await this.instances();
      return ids.every((id) => items.some((item) => item.id === id && item.reportAgeMs !== null));
    });
    return agent;
  }

  /** `rollcall agent`, without waiting for anything. */
  async startAgent(instances: readonly string[], args: readonly string[] = [], options: RunOptions = {}) {
    return await this.start(
      ["agent", ...instances.flatMap((instance) => ["--instance", instance]), ...args],
      options,
    );
  }

  /** What `rollcall up` has left for the other commands. */
  context(): Context {
    return JSON.parse(readFileSync(join(this.dataDir, "context.json"), "utf8")) as Context;
  }

  get isUp(): boolean {
    return existsSync(join(this.dataDir, "context.json"));
  }

  async instances(): Promise<readonly InstanceView[]> {
    return (await (await this.client()).instances.list()).items;
  }

  async instance(id: string): Promise<InstanceView> {
    return await (await this.client()).instances.get({ instance: id });
  }

  /** The newest first. */
  async deployments(): Promise<readonly DeploymentView[]> {
    return (await (await this.client()).deployments.list()).items;
  }

  /** Waits until an instance is as it should be. */
  async until(id: string, holds: (view: InstanceView) => boolean): Promise<InstanceView> {
    return await eventually(
      async () => {
        const view = await this.instance(id);
        if (!holds(view)) throw new Error(`${id} is ${JSON.stringify(view)}`);
        return view;
      },
      { withinMs: startMaxMs },
    );
  }

  async #until(running: Running, what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const over = running.ended.then(({ code, stdout, stderr }) => {
      throw new Error(`${what} ended with ${code}:\n${stdout}\n${stderr}`);
    });
    await Promise.race([eventually(holds, { withinMs: startMaxMs }), over]);
  }
}

/** The refusal that a command with `--json` ended with. */
export function refusalOf({ code, stdout, stderr }: Ended): {
  readonly exit: number | null;
  readonly code: string;
  readonly message: string;
} {
  const { error } =
    stdout === "" ? {} : (JSON.parse(stdout) as { error?: { code: string; message: string } });
  if (error === undefined) throw new Error(`no refusal, but an end with ${code}:\n${stdout}\n${stderr}`);
  return { exit: code, code: error.code, message: error.message };
}
