import { createHash } from "node:crypto";
import { createWriteStream, type Stats } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Pack } from "tar";
import { throwIfCancelled } from "./cancelling.js";
import { ifThere } from "./disk-errors.js";
import { ignoreRules } from "./ignore-rules.js";
import { listTree } from "./tree.js";

export interface PackedFile {
  readonly path: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly sizeBytes: number;
}

interface PackOptions {
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly signal: AbortSignal | undefined;
  /** Absolute paths that stay out with all that is below them. */
  readonly leaveOut: readonly string[];
}

/** Every file says that it is of this time, so that the same content gives the same archive. (Some tools take 1970 for "unknown".) */
const fixedTime = new Date("2000-01-01T00:00:00Z");

/** Each path on its own: two names of one file are two files, however they are stored here. */
class NoLinks extends Map<`${number}:${number}`, string> {
  override set(): this {
    return this;
  }
}

/** Permissions beyond the executable bit depend on who checked the files out, not on what they are. */
function plainMode(stat: Stats): number {
  return stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644;
}

/**
 * Packs a folder as .tar.gz: sorted, without owners and times, so that the same content, names and executable bits give
 * the same bytes (with the same version of zlib). `.git` and what `.rollcallignore` names stay out.
 *
 * @throws RollcallError `UNSAFE_ARCHIVE` for links that lead out, devices, sockets; `ARCHIVE_TOO_LARGE`, `CANCELLED`
 */
export async function packFolder(folder: string, into: string, options: PackOptions): Promise<PackedFile> {
  const rules = await ifThere(readFile(join(folder, ".rollcallignore"), "utf8"));
  const isIgnored = ignoreRules(rules ?? "");
  const skip = (path: string, isFolder: boolean) =>
    isIgnored(path, isFolder) || options.leaveOut.includes(join(folder, path));
  const tree = await listTree(folder, { ...options, strict: true, skip });
  const pack = new Pack({
    cwd: folder,
    portable: true,
    noDirRecurse: true,
    mtime: fixedTime,
    strict: true,
    linkCache: new NoLinks(),
    onWriteEntry: ({ stat }) => {
      if (stat !== undefined) stat.mode = (stat.mode & ~0o7777) | plainMode(stat);
    },
  });
  for (const [path] of tree) pack.add(path);
  pack.end();
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const measure = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      throwIfCancelled(options.signal);
      hash.update(chunk);
      sizeBytes += chunk.length;
      yield chunk;
    }
  };
  await pipeline(
    Readable.from(pack as AsyncIterable<Buffer>),
    createGzip(),
    measure,
    createWriteStream(into, { flags: "wx", mode: 0o600 }),
  );
  return { path: into, digest: `sha256:${hash.digest("hex")}`, sizeBytes };
}
