import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { TestNats } from "../kit/test-nats.js";

const root = join(import.meta.dirname, "../..");
const built = join(root, "dist/src/cli/main.js");

/** How a run of the command ended, and what it wrote. */
export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly ended: Promise<CliRun>;
  stdout(): string;
  stderr(): string;
  signal(signal: NodeJS.Signals): void;
}

/** Starts `rollcall` as a user does: a process of its own, nothing of this one's environment that could change what it does. */
export function startCli(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): RunningCli {
  const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...options.env };
  const [program = "", ...more] = commandLine(args);
  const child = spawn(program, more, { cwd: options.cwd ?? root, env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const written = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written.stderr += text;
  });
  const ended = new Promise<CliRun>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...written }));
  });
  return {
    ended,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    signal: (signal) => void child.kill(signal),
  };
}

export function runCli(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<CliRun> {
  return startCli(args, options).ended;
}

/** The environment that points a command at a server. */
export function envOf(nats: TestNats, more: Record<string, string> = {}): Record<string, string> {
  const { user, password } = nats.credentials;
  return { NATS_URL: nats.url, NATS_USER: user, NATS_PASSWORD: password, ...more };
}

/** The built command, unless the sources are newer, with its arguments. */
export function commandLine(args: readonly string[]): string[] {
  program ??= isBuilt()
    ? [built]
    : ["--import", createRequire(import.meta.url).resolve("tsx"), join(root, "src/cli/main.ts")];
  return [process.execPath, ...program, ...args];
}
let program: string[] | undefined;

function isBuilt(): boolean {
  const builtAtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAtMs === undefined) return false;
  const sources = ["src", "machines"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) =>
      join(root, folder, path),
    ),
  );
  return sources.every((path) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) <= builtAtMs);
}
