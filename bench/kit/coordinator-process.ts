import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NatsAccess } from "./nats.js";

const leadsWithinMs = 30_000;

/** `rollcall coordinator` in a process of its own, which says in its log what becomes of it. */
export class CoordinatorProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** The moments at which it began to lead, on this process's clock. */
  readonly #leading: number[] = [];
  #onLeading: () => void = () => undefined;

  constructor(name: string, access: NatsAccess, fleet: string) {
    this.name = name;
    const program = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
    const { url, user, password } = access;
    this.#child = spawn(process.execPath, [program, "coordinator", "--name", name, "--fleet", fleet], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env.PATH, NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password },
    });
    this.#ended = once(this.#child, "exit");
    const kill = () => this.#child.kill("SIGKILL");
    process.on("exit", kill);
    void this.#ended.then(() => process.off("exit", kill));
    if (this.#child.stderr !== null)
      createInterface(this.#child.stderr).on("line", (line) => this.#take(line, performance.now()));
  }

  /** When it began to lead the last time, after a moment; waits for it. */
  async leadingAfter(sinceMs: number): Promise<number> {
    const latestAtMs = performance.now() + leadsWithinMs;
    for (;;) {
      const found = this.#leading.find((atMs) => atMs >= sinceMs);
      if (found !== undefined) return found;
      if (performance.now() > latestAtMs)
        throw new Error(`${this.name} does not lead within ${leadsWithinMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#onLeading = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  signal(signal: "SIGKILL" | "SIGTERM"): void {
    this.#child.kill(signal);
  }

  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.#ended;
  }

  #take(line: string, atMs: number): void {
    if (!line.includes('"role":"leading"')) return;
    this.#leading.push(atMs);
    this.#onLeading();
  }
}
