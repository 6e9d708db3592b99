import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** A change of a folder's entries, and how it is taken back. */
interface Change {
  /** Brought to the disk by a sync of this folder. */
  readonly folder: string;
  readonly path: string;
  /** Of a rename: the name before. */
  readonly from?: string;
  undo(path: string): void;
}

/**
 * What of the file operations of one run of an agent would be lost by a power cut: every entry of a folder that was made, renamed or
 * removed since the folder was last synced, and the content of every file since the file was. The worst that a disk may do.
 */
export class Unsynced {
  /** Where what is replaced or removed is kept; in the same file system. */
  readonly #kept: string;
  #changes: Change[] = [];
  readonly #dirty = new Set<string>();
  #number = 0;

  constructor(kept: string) {
    this.#kept = kept;
    mkdirSync(kept, { recursive: true });
  }

  /** Called with an operation that is about to be done. @returns what to call once it is done, or `undefined` if this has done it */
  doing(operation: string, args: readonly unknown[]): (() => void) | undefined {
    const [path, to] = args.map(String);
    if (path === undefined) return () => undefined;
    switch (operation) {
      case "rename":
        return this.#renaming(path, to ?? "");
      case "rm":
        return this.#removing(path);
      case "mkdir":
        return this.#making(firstMissing(path));
      case "symlink":
      case "copyFile":
        return this.#making(to ?? "", operation === "copyFile");
      case "writeFile":
      case "truncate":
        return this.#making(path, true);
      case "open":
        return args[1] === "r" ? () => undefined : this.#making(path, args[1] !== "a");
      default:
        return () => undefined;
    }
  }

  wrote(path: string): void {
    this.#dirty.add(path);
  }

  /** A file or folder was synced. */
  synced(path: string): void {
    this.#dirty.delete(path);
    const durable = this.#changes.filter(({ folder }) => folder === path);
    this.#changes = this.#changes.filter(({ folder }) => folder !== path);
    for (const { from, path: to } of durable) {
      if (from === undefined) continue;
      // What has its name for good was made for good, and what is in it is found under that name.
      this.#changes = this.#changes
        .filter((change) => change.path !== from)
        .map((change) => relocated(change, from, to));
    }
  }

  /** The power is cut. */
  lose(): void {
    for (const path of this.#dirty) if (existsSync(path) && lstatSync(path).isFile()) truncateSync(path);
    for (const { path, undo } of this.#changes.reverse()) undo(path);
    this.#changes = [];
    this.#dirty.clear();
  }

  #renaming(from: string, to: string): () => void {
    const before = this.#keep(to);
    return () => {
      for (const path of [...this.#dirty])
        if (path === from || path.startsWith(`${from}/`)) {
          this.#dirty.delete(path);
          this.#dirty.add(to + path.slice(from.length));
        }
      this.#changes.push({
        folder: dirname(to),
        path: to,
        from,
        undo: (now) => {
          renameSync(now, from);
          before();
        },
      });
    };
  }

  #removing(path: string): (() => void) | undefined {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return () => undefined;
    const kept = join(this.#kept, String(this.#number++));
    renameSync(path, kept);
    this.#changes.push({
      folder: dirname(path),
      path,
      undo: (now) => {
        rmSync(now, { recursive: true, force: true });
        renameSync(kept, now);
      },
    });
    return undefined;
  }

  #making(path: string, writes = false): () => void {
    const isThere = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    return () => {
      if (writes) this.#dirty.add(path);
      if (isThere) return;
      this.#changes.push({
        folder: dirname(path),
        path,
        undo: (now) => rmSync(now, { recursive: true, force: true }),
      });
    };
  }

  /** Puts aside what a path holds, under a second name. */
  #keep(path: string): () => void {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory()) return () => undefined;
    if (stats.isSymbolicLink()) {
      const target = readlinkSync(path);
      return () => symlinkSync(target, path);
    }
    const kept = join(this.#kept, String(this.#number++));
    linkSync(path, kept);
    return () => renameSync(kept, path);
  }
}

function relocated(change: Change, from: string, to: string): Change {
  const moved = (path: string) =>
    path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
  return { ...change, folder: moved(change.folder), path: moved(change.path) };
}

function firstMissing(folder: string): string {
  let missing = folder;
  while (!existsSync(dirname(missing))) missing = dirname(missing);
  return missing;
}
