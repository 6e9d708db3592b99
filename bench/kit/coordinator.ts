import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { BenchNats } from "./nats.js";

const holdsWithinMs = 60_000;

/** Starts `rollcall coordinator` as a process of its own; it ends with this one. */
export function startCoordinator(nats: BenchNats, fleet: string): { stop(): Promise<void> } {
  const program = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
  const child = spawn(process.execPath, [program, "coordinator", "--log-level", "error"], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      PATH: process.env.PATH,
      NATS_URL: nats.url,
      NATS_USER: nats.user,
      NATS_PASSWORD: nats.password,
      ROLLCALL_FLEET: fleet,
    },
  });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const ended = once(child, "exit");
  return {
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      process.off("exit", kill);
    },
  };
}

/** Asks again and again; what throws does not hold yet. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const latestAtMs = performance.now() + holdsWithinMs;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > latestAtMs) throw new Error(`a minute was not enough until ${what}`);
    await pause(50);
  }
}
