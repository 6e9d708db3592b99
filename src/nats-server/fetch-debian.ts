import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { identify, killGroup } from "../base-node/process-identity.js";
import type { Environment } from "./cache-folder.js";

/** Measured: 2 to 9 s. Ten times that for a slow line. */
const timeoutMs = 120_000;
const scriptName = join("scripts", "get-nats.sh");

/** Whether this machine runs Debian itself; derived systems have other archives and keys. */
export async function isDebian(): Promise<boolean> {
  const release = await readFile("/etc/os-release", "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return /^ID="?debian"?$/m.test(release);
}

/**
 * Runs `scripts/get-nats.sh`, which says how.
 *
 * @returns the path of the server
 * @throws Error with what the script said, or when it took longer than two minutes
 */
export async function fetchFromDebian(options: { folder: string; env: Environment }): Promise<string> {
  const script = await findScript();
  const child = spawn("sh", [script, options.folder], {
    detached: true,
    env: { ...options.env, LC_ALL: "C" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  let tookTooLong = false;
  // The whole group: the shell itself handles a signal only when the program that it waits for has ended.
  const limit = setTimeout(() => {
    tookTooLong = true;
    if (identity !== undefined) killGroup(identity, "SIGTERM");
  }, timeoutMs);
  const [complaints, [code, signal]] = await Promise.all([
    text(child.stderr),
    once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>,
  ]).finally(() => clearTimeout(limit));
  if (tookTooLong) throw new Error(`get-nats.sh did not end within ${timeoutMs / 1_000} s`);
  if (signal !== null) throw new Error(`get-nats.sh was ended by ${signal}`);
  if (code !== 0)
    throw new Error(complaints.trim().replace(/^get-nats: /, "") || `get-nats.sh ended with code ${code}`);
  return join(options.folder, "bin", "nats-server");
}

/** The script lies in the package's own folder, whether this file runs from `src` or from `dist/src`. */
async function findScript(): Promise<string> {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (folder !== dirname(folder)) {
    const script = join(folder, scriptName);
    const found = await access(script).then(
      () => true,
      () => false,
    );
    if (found) return script;
    folder = dirname(folder);
  }
  throw new Error(`the package lacks ${scriptName}`);
}
