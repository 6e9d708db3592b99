import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { z } from "zod";
import { messageOf, RollcallError } from "../../base/errors.js";
import type { Log } from "../../base/ports.js";
import { readJsonFile, syncFolder } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import { throwIfCancelled } from "./cancelling.js";
import type { Commands } from "./commands.js";
import { ifThere } from "./disk-errors.js";
import { syncPath } from "./sync-path.js";
import type { Tree } from "./tree.js";

const syncTimeoutMs = 600_000;

/** Makes a folder and those above it, so that they survive a power cut. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Removes a file, if it is there, so that it stays removed after a power cut. */
export async function removeFile(path: string): Promise<void> {
  if ((await ifThere(rm(path).then(() => true))) === true) await syncFolder(dirname(path));
}

/**
 * Removes a folder in one step, if it is there: a part of it is never left under its name.
 *
 * @param scratchName a name in the scratch folder that nobody else uses
 */
export async function removeFolder(folder: string, scratchName: string): Promise<void> {
  if ((await ifThere(rename(folder, scratchName).then(() => true))) !== true) return;
  await syncFolder(dirname(folder));
  await clear(scratchName);
}

/** Removes a folder that nobody trusts any more; work that is just ending may still write to it. */
export async function clear(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

/** Brings what was written below a folder to the disk: at once by `sync -f`, where there is none file by file. */
export async function syncTree(
  commands: Commands,
  folder: string,
  tree: Tree,
  signal: AbortSignal | undefined,
): Promise<void> {
  const command = ["sync", "-f", folder];
  const { end } = await commands.run({ command, cwd: folder, env: {}, timeoutMs: syncTimeoutMs, signal });
  if (end.kind === "ended" && end.code === 0) return;
  throwIfCancelled(signal);
  for (const [path, kind] of tree) if (kind !== "l") await syncPath(join(folder, path));
  await syncFolder(folder);
}

/**
 * A small file of the agent's own, checked; `undefined` if it is not there.
 *
 * @throws RollcallError `RECORD_CORRUPT` with the name of the file
 */
export async function readOwnFile<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    const content = await readJsonFile(path);
    return content === undefined ? undefined : schema.parse(content);
  } catch (thrown) {
    throw refusal("RECORD_CORRUPT", { file: path, problem: messageOf(thrown) }, thrown);
  }
}

/** The same for a file that only says that something is complete: one that cannot be read says nothing. */
export async function readMarker<T>(path: string, schema: z.ZodType<T>, log: Log): Promise<T | undefined> {
  try {
    return await readOwnFile(path, schema);
  } catch (thrown) {
    if (!(thrown instanceof RollcallError)) throw thrown;
    log.warn(
      { file: path, problem: messageOf(thrown.cause) },
      "a file of the agent cannot be read: its work is done again",
    );
    return undefined;
  }
}
