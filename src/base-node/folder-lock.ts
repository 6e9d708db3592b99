import { link, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { messageOf } from "../base/errors.js";
import { refusal } from "../contracts/errors.js";
import { syncFolder, writeFileAtomic } from "./atomic-file.js";
import type { ProcessIdentity } from "./process-identity.js";
import { identifySelf, isAlive } from "./process-identity.js";

/** A folder that is this process's own until `release`, or until the process ends in whatever way. */
export interface FolderLock {
  readonly folder: string;
  release(): Promise<void>;
}

interface LockFile {
  readonly number: number;
  /** `undefined`: released, or never written to its end. */
  readonly holder: ProcessIdentity | undefined;
}

const triesMax = 20;
let taken = 0;

/**
 * Takes a folder for this process alone, making it if need be. The lock of a holder that has ended is taken over.
 *
 * The files are `lock.1`, `lock.2`, …; the highest counts, is never removed, and is made by an exclusive link that
 * has its whole content at once. So two that find the same dead holder try the same next number, and one of them fails:
 * removing a dead holder's file first would let the slower of the two remove the lock of the faster.
 * Works between processes of one host (and one process-number space), not over a network file system.
 *
 * @throws RollcallError `FOLDER_LOCKED` with the living holder's `pid`, `FOLDER_UNUSABLE`
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = resolve(folder);
  const draft = await draftIn(path);
  try {
    for (let tries = 0; tries < triesMax; tries++) {
      const highest = await highestLock(path);
      if (highest?.holder !== undefined && isAlive(highest.holder))
        throw refusal("FOLDER_LOCKED", { folder: path, pid: highest.holder.pid });
      const number = (highest?.number ?? 0) + 1;
      if (await linkNew(draft, lockPath(path, number))) {
        if (await isHighest(path, number)) return await held(path, number);
        await rm(lockPath(path, number), { force: true });
      }
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw new Error(`the lock of ${path} changed hands ${triesMax} times while it was being taken`);
}

/** A file that names this process as the holder. */
async function draftIn(folder: string): Promise<string> {
  const draft = `${folder}/.lock.${process.pid}.${taken++}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(draft, JSON.stringify(identifySelf()));
    return draft;
  } catch (thrown) {
    throw refusal("FOLDER_UNUSABLE", { folder, problem: messageOf(thrown) }, thrown);
  }
}

async function held(folder: string, number: number): Promise<FolderLock> {
  for (const other of await lockNumbers(folder))
    if (other < number) await rm(lockPath(folder, other), { force: true });
  await syncFolder(folder);
  let released = false;
  return {
    folder,
    async release() {
      if (released) return;
      released = true;
      await writeFileAtomic(lockPath(folder, number), "");
    },
  };
}

async function highestLock(folder: string): Promise<LockFile | undefined> {
  const number = Math.max(0, ...(await lockNumbers(folder)));
  if (number === 0) return undefined;
  return { number, holder: await readHolder(lockPath(folder, number)) };
}

async function isHighest(folder: string, number: number): Promise<boolean> {
  return Math.max(...(await lockNumbers(folder))) === number;
}

async function lockNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .map((name) => Number(/^lock\.(\d{1,12})$/.exec(name)?.[1] ?? 0))
    .filter((number) => number > 0);
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    // A newer lock was taken meanwhile and this one removed: the next try sees it.
    if (error.code === "ENOENT") return "";
    throw error;
  });
  if (text === "") return undefined;
  try {
    const { pid, startTime, bootId } = JSON.parse(text) as Partial<ProcessIdentity>;
    if (typeof pid === "number" && typeof startTime === "string" && typeof bootId === "string")
      return { pid, startTime, bootId };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  // Torn by a power cut: whoever wrote it does not live any more.
  return undefined;
}

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function lockPath(folder: string, number: number): string {
  return `${folder}/lock.${number}`;
}
