import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { refusal } from "../../contracts/errors.js";
import { throwIfCancelled } from "./cancelling.js";
import { ifThere } from "./disk-errors.js";
import { leadsOut } from "./link-safety.js";

const treeEntrySchema = z.tuple([
  /** Relative to the root, with `/`. */
  z.string().min(1),
  /** `f` a file, `d` a folder, `l` a symbolic link. */
  z.enum(["f", "d", "l"]),
  z.int().min(0),
]);
/** Path, kind and, for a file, size in bytes. A tuple, since there may be hundreds of thousands in a list. */
export type TreeEntry = z.infer<typeof treeEntrySchema>;

/** What a folder holds, folders before what is in them, sorted: the same content gives the same list. */
export const treeSchema = z.array(treeEntrySchema);
export type Tree = readonly TreeEntry[];

interface TreeLimits {
  readonly bytesMax: number;
  readonly entriesMax: number;
}

/**
 * Lists a folder. Sockets and pipes, which a build may leave behind, are left out unless `strict`.
 *
 * @throws RollcallError `ARCHIVE_TOO_LARGE`, `CANCELLED`; with `strict` also `UNSAFE_ARCHIVE`
 */
export async function listTree(
  root: string,
  options: TreeLimits & {
    signal?: AbortSignal | undefined;
    strict?: boolean;
    skip?: (path: string, isFolder: boolean) => boolean;
  },
): Promise<Tree> {
  const tree: TreeEntry[] = [];
  const waiting: string[] = [""];
  let bytes = 0;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    throwIfCancelled(options.signal);
    const names = await readdir(join(root, folder));
    for (const name of names) {
      const path = folder === "" ? name : `${folder}/${name}`;
      const entry = await entryOf(root, path, options);
      if (entry === undefined) continue;
      if (entry[1] === "d") waiting.push(path);
      bytes += entry[2];
      tree.push(entry);
      if (tree.length > options.entriesMax || bytes > options.bytesMax)
        throw refusal("ARCHIVE_TOO_LARGE", { maxBytes: options.bytesMax, maxEntries: options.entriesMax });
    }
  }
  return tree.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
}

async function entryOf(
  root: string,
  path: string,
  { strict, skip }: { strict?: boolean; skip?: (path: string, isFolder: boolean) => boolean },
): Promise<TreeEntry | undefined> {
  const stats = await lstat(join(root, path));
  if (skip?.(path, stats.isDirectory()) === true) return undefined;
  if (stats.isDirectory()) return [path, "d", 0];
  if (stats.isFile()) return [path, "f", stats.size];
  if (stats.isSymbolicLink()) {
    if (strict === true && (await leadsOut(root, path)))
      throw refusal("UNSAFE_ARCHIVE", {
        entry: path,
        why: `it is a symbolic link to ${await readlink(join(root, path))}`,
      });
    return [path, "l", 0];
  }
  if (strict === true)
    throw refusal("UNSAFE_ARCHIVE", { entry: path, why: "it is a device, pipe or socket" });
  return undefined;
}

/**
 * The first entry of `tree` that is not below `root` any more, or is another thing; `undefined` if all are
 * there. What is there besides does not count. With `sizes`, files must also be as long as they were.
 */
export async function findMissing(
  root: string,
  tree: Tree,
  options: { sizes: boolean; signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  if ((await ifThere(lstat(root)))?.isDirectory() !== true) return ".";
  for (const [path, kind, size] of tree) {
    throwIfCancelled(options.signal);
    const stats = await ifThere(lstat(join(root, path)));
    const found = stats?.isDirectory()
      ? "d"
      : stats?.isFile()
        ? "f"
        : stats?.isSymbolicLink()
          ? "l"
          : undefined;
    if (found !== kind) return path;
    if (options.sizes && kind === "f" && stats?.size !== size) return path;
  }
  return undefined;
}
