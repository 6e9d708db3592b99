import { lstat, mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { RollcallError } from "../../base/errors.js";
import { refusal } from "../../contracts/errors.js";
import { ifThere } from "./disk-errors.js";
import { oneLine } from "./printable.js";

/**
 * Makes the symbolic links of an archive, path to target, in a folder that holds its other entries. No link is made
 * below another link.
 *
 * @throws RollcallError `UNSAFE_ARCHIVE`
 */
export async function makeLinks(root: string, links: ReadonlyMap<string, string>): Promise<void> {
  for (const [path, target] of links) {
    const parts = path.split("/");
    await makeRealFolder(root, parts.slice(0, -1), path);
    const link = join(root, path);
    const there = await ifThere(lstat(link));
    if (there?.isDirectory() === true)
      throw unsafeEntry(path, "it is a symbolic link and has entries below it");
    if (there !== undefined) await rm(link);
    await symlink(target, link);
  }
}

export function unsafeEntry(path: string, why: string): RollcallError {
  return refusal("UNSAFE_ARCHIVE", { entry: oneLine(path), why });
}

async function makeRealFolder(root: string, parts: readonly string[], path: string): Promise<void> {
  let folder = root;
  for (const part of parts) {
    folder = join(folder, part);
    const there = await ifThere(lstat(folder));
    if (there === undefined) await mkdir(folder);
    else if (!there.isDirectory()) throw unsafeEntry(path, "it lies below a link or file");
  }
}
