import { readlink, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { syncFolder } from "../../base-node/atomic-file.js";
import { unescapeToken } from "../../contracts/names.js";
import { ifThere } from "./disk-errors.js";

/**
 * Makes `link` point at `target` in one step, whether it was there or not: at every moment it points at the old
 * or at the new one. The link is relative, so that the data folder can be moved.
 *
 * @param temporary a name in the same file system that nobody else uses
 */
export async function pointAt(link: string, target: string, temporary: string): Promise<void> {
  const text = relative(dirname(link), target);
  if ((await ifThere(readlink(link))) === text) return;
  await symlink(text, temporary);
  try {
    await rename(temporary, link);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
  await syncFolder(dirname(link));
}

/** The path that a link points at; `undefined` if it is not there. */
export async function targetOf(link: string): Promise<string | undefined> {
  const text = await ifThere(readlink(link));
  return text === undefined ? undefined : join(dirname(link), text);
}

/** The version whose release folder a path is. */
export function versionOfFolder(folder: string | undefined): string | undefined {
  return folder === undefined ? undefined : unescapeToken(basename(folder));
}
