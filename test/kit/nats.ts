import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { findFreePort } from "../../src/base-node/free-port.js";
import { findNatsServer } from "../../src/nats-server/find.js";
import { eventually } from "./eventually.js";
import { quietLog } from "./quiet-log.js";
import type { TestNats, TestNatsOptions } from "./test-nats.js";
import { newCredentials, testConfig } from "./test-nats.js";

/**
 * Starts a server with JetStream on a free loopback port and in a temporary folder. Whoever starts it
 * stops it; the end of this process kills it in any case. Where `ROLLCALL_TEST_NATS` is `container`, it runs in one.
 */
export async function startNats(options: TestNatsOptions = {}): Promise<TestNats> {
  if (process.env.ROLLCALL_TEST_NATS === "container") {
    const { startNatsContainer } = await import("./nats-container.js");
    return await startNatsContainer(options);
  }
  const nats = new SpawnedNats(await natsBinary(), await findFreePort(), options);
  try {
    await nats.restart();
  } catch (error) {
    await nats.stop();
    throw error;
  }
  return nats;
}

/**
 * A server for all tests of a file (or of a `describe`).
 *
 * @example const nats = withNats(); test("…", async () => connect({ servers: nats().url, … }));
 */
export function withNats(options: TestNatsOptions = {}): () => TestNats {
  let running: TestNats | undefined;
  // A fresh machine fetches the server first.
  beforeAll(async () => {
    running = await startNats(options);
  }, 180_000);
  afterAll(async () => {
    await running?.stop();
  });
  return () => {
    if (running === undefined) throw new Error("the server runs only within tests and hooks");
    return running;
  };
}

let binary: Promise<string> | undefined;

/** The path of the nats-server that tests run, fetched first on a machine that has none. */
export function natsBinary(): Promise<string> {
  binary ??= findNatsServer({
    env: process.env,
    // Not in the folder for temporary files, where somebody else may have put one.
    dataDir: fileURLToPath(new URL("../../.nats", import.meta.url)),
    log: quietLog,
  }).then(({ path }) => path);
  return binary;
}

class SpawnedNats implements TestNats {
  readonly url: string;
  readonly credentials = newCredentials();
  readonly dir = mkdtempSync(join(tmpdir(), "rollcall-nats-"));
  readonly #binary: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #killWithUs = () => this.#child?.kill("SIGKILL");
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> | undefined;

  constructor(path: string, port: number, options: TestNatsOptions) {
    this.#binary = path;
    this.#env = options.env ?? {};
    this.url = `nats://127.0.0.1:${port}`;
    const listen = `127.0.0.1:${port}`;
    writeFileSync(
      join(this.dir, "nats.conf"),
      testConfig(options, { listen, dir: this.dir, credentials: this.credentials }),
    );
    process.once("exit", this.#killWithUs);
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error("the server does not run");
    return this.#child.pid;
  }

  async restart(): Promise<void> {
    await this.#end("SIGTERM");
    const child = spawn(this.#binary, ["-c", join(this.dir, "nats.conf")], {
      env: { ...process.env, ...this.#env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    await once(child, "spawn");
    // Not its exit, behind which the last lines of its log may still come.
    const ended = once(child, "close");
    this.#ended = ended;
    await Promise.race([
      untilReady(child, join(this.dir, "server.log")),
      ended.then(() => {
        throw new Error(`nats-server ended at its start:\n${this.#logTail()}`);
      }),
    ]);
  }

  async kill9(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async pause(): Promise<void> {
    const { pid } = this;
    process.kill(pid, "SIGSTOP");
    // The signal is on its way when kill returns: the threads stop one after another.
    await eventually(() => threadStates(pid).every((state) => state === "T"));
  }

  resume(): Promise<void> {
    process.kill(this.pid, "SIGCONT");
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    process.off("exit", this.#killWithUs);
    await this.#end("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.kill(signal);
    await this.#ended;
  }

  #logTail(): string {
    return readFileSync(join(this.dir, "server.log"), "utf8").split("\n").slice(-20).join("\n");
  }
}

/** One letter for each thread of a process; none where there is no `/proc`. */
function threadStates(pid: number): string[] {
  if (process.platform !== "linux") return [];
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    return stat.charAt(stat.lastIndexOf(")") + 2);
  });
}

/** Resolves when the server says so; keeps what it says in its log. */
function untilReady(child: ChildProcess, log: string): Promise<void> {
  const { stderr } = child;
  if (stderr === null) throw new Error("the server's output is not read");
  appendFileSync(log, "");
  return new Promise((resolve) => {
    createInterface({ input: stderr }).on("line", (line) => {
      appendFileSync(log, `${line}\n`);
      if (line.includes("Server is ready")) resolve();
    });
  });
}
