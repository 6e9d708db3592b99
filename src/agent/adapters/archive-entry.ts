/** What decides whether an entry of an archive may be unpacked. */
export interface ArchiveEntry {
  /** The type as the npm package tar names it. */
  readonly type: string;
  readonly path: string;
  readonly linkpath?: string | undefined;
}

/** Folders within folders, also of real releases with deep dependencies, stay far below. */
const depthMax = 256;

const plainTypes = new Set(["File", "OldFile", "ContiguousFile", "Directory", "GNUDumpDir"]);
const typeWords: Readonly<Record<string, string>> = {
  CharacterDevice: "a device",
  BlockDevice: "a device",
  FIFO: "a named pipe",
};

/**
 * Why an entry must not be unpacked, in words; `undefined` if it may. Strict: nothing is stripped, skipped or
 * put right. A symbolic link may point upwards within the release; whether a chain of them leads out is seen only
 * once all are there, see `findEscapingLink`.
 */
export function whyUnsafe(entry: ArchiveEntry): string | undefined {
  const parts = partsOf(entry.path);
  if (parts.length === 0) return plainTypes.has(entry.type) ? undefined : "it has no name";
  if (isAbsolutePath(entry.path)) return "its path is absolute";
  if (parts.includes("..")) return "its path contains ..";
  if (parts.length > depthMax) return `it is more than ${depthMax} folders deep`;
  if (plainTypes.has(entry.type)) return undefined;
  const target = entry.linkpath ?? "";
  if (entry.type === "SymbolicLink") return whyUnsafeLink(parts, target);
  if (entry.type !== "Link") return `it is ${typeWords[entry.type] ?? `of the unknown type ${entry.type}`}`;
  if (isAbsolutePath(target)) return "it is a hard link to an absolute path";
  return partsOf(target).includes("..") ? "it is a hard link that leads out" : undefined;
}

function whyUnsafeLink(path: readonly string[], target: string): string | undefined {
  if (isAbsolutePath(target)) return "it is a symbolic link to an absolute path";
  let depth = path.length - 1;
  for (const part of partsOf(target)) {
    depth += part === ".." ? -1 : 1;
    if (depth < 0) return "it is a symbolic link that leads out";
  }
  return undefined;
}

/** Backslashes count as separators, as they would where the archive may be unpacked by other means. */
function partsOf(path: string): string[] {
  return path.split(/[\\/]/).filter((part) => part !== "" && part !== ".");
}

function isAbsolutePath(path: string): boolean {
  return /^(?:[\\/]|[A-Za-z]:)/.test(path);
}
