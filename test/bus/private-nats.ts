import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A nats-server of a test's own, with JetStream in a temporary folder. */
export interface PrivateNats {
  readonly url: string;
  readonly folder: string;
  /** Starts it again on its port, after `kill`; `config` replaces the one it had. */
  start(config?: string): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: it neither answers nor closes its connections. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its folder. */
  end(): Promise<void>;
}

/** `config` is text of the configuration file, added to listening on loopback and JetStream. */
export async function startPrivateNats(options: { config?: string } = {}): Promise<PrivateNats> {
  const folder = mkdtempSync(join(tmpdir(), "rollcall-nats-"));
  let port = -1;
  let running: ChildProcess | undefined;
  const endWithUs = () => running?.kill("SIGKILL");
  process.once("exit", endWithUs);

  const kill = async () => {
    const ending = running;
    running = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const ended = once(ending, "exit");
    ending.kill("SIGKILL");
    await ended;
  };
  const server: PrivateNats = {
    get url() {
      return `nats://127.0.0.1:${port}`;
    },
    folder,
    async start(config = options.config ?? "") {
      const file = join(folder, "nats.conf");
      const own = config.includes("jetstream") ? "" : `jetstream { store_dir: "${folder}/js" }\n`;
      writeFileSync(file, `listen: "127.0.0.1:${port}"\n${own}${config.replaceAll("FOLDER", folder)}`);
      const child = spawn(process.env.NATS_SERVER_BIN ?? "nats-server", ["-c", file], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      running = child;
      port = await portOf(child);
    },
    kill,
    pause: () => void running?.kill("SIGSTOP"),
    resume: () => void running?.kill("SIGCONT"),
    async end() {
      process.off("exit", endWithUs);
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

async function portOf(child: ChildProcess): Promise<number> {
  const said: string[] = [];
  let port = -1;
  if (child.stderr === null) throw new Error("the server has no output");
  const failed = once(child, "error").then(([error]) => {
    throw error;
  });
  const read = async (lines: AsyncIterable<string>) => {
    for await (const line of lines) {
      said.push(line);
      port = Number(/Listening for client connections on .*:(\d+)/.exec(line)?.[1] ?? port);
      if (line.includes("Server is ready")) return port;
    }
    throw new Error(`nats-server did not start: ${said.join("\n")}`);
  };
  const lines = createInterface({ input: child.stderr });
  const ready = await Promise.race([read(lines), failed]);
  child.stderr.resume();
  return ready;
}
