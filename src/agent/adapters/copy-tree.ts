import { constants } from "node:fs";
import { copyFile, lstat, mkdir, readlink, symlink, utimes } from "node:fs/promises";
import { dirname, isAbsolute, join, relative } from "node:path";
import { throwIfCancelled } from "./cancelling.js";
import type { Tree, TreeEntry } from "./tree.js";

const atOnceMax = 8;

/**
 * Copies what `tree` lists from one folder to another that is empty: contents, permissions and times of files. Where the file system can
 * share blocks between files (btrfs, XFS) no room is taken until one of them changes.
 *
 * @throws RollcallError `CANCELLED`
 */
export async function copyTree(
  from: string,
  to: string,
  tree: Tree,
  options: { readonly signal: AbortSignal; progress(share: number): void },
): Promise<void> {
  const files: TreeEntry[] = [];
  for (const entry of tree) {
    const [path, kind] = entry;
    if (kind === "f") files.push(entry);
    else if (kind === "d") await mkdir(join(to, path));
    else await copyLink(from, to, path);
    throwIfCancelled(options.signal);
  }
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    for (let file = files[next++]; file !== undefined && !failed; file = files[next++]) {
      throwIfCancelled(options.signal);
      await copyOne(join(from, file[0]), join(to, file[0]));
      options.progress(next / files.length);
    }
  };
  const workers = Array.from({ length: atOnceMax }, () =>
    worker().catch((thrown: unknown) => {
      failed = true;
      throw thrown;
    }),
  );
  // All of them have stopped before the first problem is told, so that the folder can be removed.
  await Promise.allSettled(workers);
  await Promise.all(workers);
}

async function copyOne(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  // In whole milliseconds, by which it is known later that nobody has changed it.
  const { atime, mtime } = await lstat(from);
  await utimes(to, atime, mtime);
}

/** A build may have made links by their absolute path; they would go on pointing at the copied folder. */
async function copyLink(from: string, to: string, path: string): Promise<void> {
  const target = await readlink(join(from, path));
  const inside = isAbsolute(target) ? relative(from, target) : "..";
  const leadsIn = inside !== ".." && !inside.startsWith("../") && !isAbsolute(inside);
  await symlink(leadsIn ? relative(dirname(path), inside) || "." : target, join(to, path));
}
