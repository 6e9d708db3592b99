import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { RollcallError } from "../../src/base/errors.js";
import { type FolderLock, lockFolder } from "../../src/base-node/folder-lock.js";
import { StoryProcesses } from "./processes.js";

const foldersMax = 20;

/** A folder that is one story's alone. */
export interface StoryFolder {
  readonly dataDir: string;
  readonly lock: FolderLock;
  /** How many processes earlier stories had left behind: they have ended. */
  readonly reaped: number;
}

/**
 * Takes the folder that was asked for, else `.rollcall`, or the next one in which neither another story nor a control
 * plane of the user's lives. Ends what killed stories left in any of them.
 */
export async function takeFolder(wanted: string | undefined): Promise<StoryFolder> {
  let found: Omit<StoryFolder, "reaped"> | undefined;
  let reaped = 0;
  for (let number = 1; number <= foldersMax; number++) {
    const dataDir = resolve(wanted ?? (number === 1 ? ".rollcall" : `.rollcall-${number}`));
    if (found !== undefined && !existsSync(join(dataDir, "story"))) continue;
    const lock = await lockUnlessTaken(join(dataDir, "story"));
    if (lock !== undefined) {
      reaped += await new StoryProcesses(dataDir, process.env).reap();
      if (found === undefined && (await isFree(dataDir))) found = { dataDir, lock };
      else await lock.release();
    }
    if (wanted !== undefined) break;
  }
  if (found === undefined)
    throw new Error(
      wanted === undefined
        ? "a control plane or a story runs in every folder from .rollcall on: give another one by --data"
        : `a control plane or a story runs in ${wanted} already: give another folder by --data`,
    );
  return { ...found, reaped };
}

/** Whether no `rollcall up` lives there. */
async function isFree(dataDir: string): Promise<boolean> {
  const lock = await lockUnlessTaken(dataDir);
  await lock?.release();
  return lock !== undefined;
}

async function lockUnlessTaken(folder: string): Promise<FolderLock | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    return await lockFolder(folder);
  } catch (error) {
    if (error instanceof RollcallError && error.code === "FOLDER_LOCKED") return undefined;
    throw error;
  }
}
