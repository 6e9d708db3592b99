import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
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
  /** Of a file's content: SHA-256 in base64url. */
  z.string().optional(),
  /** When a file was changed last, in whole milliseconds since the epoch. */
  z.int().optional(),
]);
/**
 * Path, kind and, for a file, size in bytes, digest and time of the last change. A tuple, since there may be hundreds of thousands
 * in a list. Lists of older agents have neither digest nor time.
 */
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

/** The same list with the digest and the time of each file. @throws RollcallError `CANCELLED` */
export async function withDigests(root: string, tree: Tree, signal?: AbortSignal): Promise<Tree> {
  const full: TreeEntry[] = [];
  for (const [path, kind, size] of tree) {
    throwIfCancelled(signal);
    const file = join(root, path);
    full.push(
      kind === "f"
        ? [path, kind, size, await contentOf(file), changedAtMs(await lstat(file))]
        : [path, kind, size],
    );
  }
  return full;
}

/** How closely the files of a folder are compared with its list. */
export interface Comparison {
  /**
   * Whoever works there may have changed files: one whose time is another one now is left to them. What still has its time
   * must have its content.
   */
  readonly mayBeChanged: boolean;
  /** Read every file, and not only how long it is. */
  readonly digests: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The first entry of `tree` that is not below `root` any more, is another thing, or has other content; `undefined` if all are
 * as they were. What is there besides does not count.
 */
export async function findMissing(
  root: string,
  tree: Tree,
  options: Comparison,
): Promise<string | undefined> {
  if ((await ifThere(lstat(root)))?.isDirectory() !== true) return ".";
  for (const entry of tree) {
    const [path, kind] = entry;
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
    if (kind === "f" && stats !== undefined && !(await isUntouched(join(root, path), entry, stats, options)))
      return path;
  }
  return undefined;
}

async function isUntouched(
  file: string,
  [, , size, digest, atMs]: TreeEntry,
  stats: Stats,
  { mayBeChanged, digests }: Comparison,
): Promise<boolean> {
  if (mayBeChanged && changedAtMs(stats) !== atMs) return true;
  if (stats.size !== size) return false;
  return !digests || digest === undefined || (await contentOf(file)) === digest;
}

/** A copy has the time of its original to the millisecond. */
function changedAtMs({ mtimeMs }: Stats): number {
  return Math.round(mtimeMs);
}

async function contentOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("base64url");
}
