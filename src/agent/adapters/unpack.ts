import { once } from "node:events";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { ReadEntry, Unpack } from "tar";
import { RollcallError } from "../../base/errors.js";
import { refusal } from "../../contracts/errors.js";
import { whyUnsafe } from "./archive-entry.js";
import { isDiskFull } from "./disk-errors.js";
import { makeLinks, unsafeEntry } from "./make-links.js";
import { oneLine } from "./printable.js";
import { listTree, type Tree } from "./tree.js";

/** The first byte of everything that gzip made. */
const gzipByte = 0x1f;

interface UnpackOptions {
  /** Of the unpacked archive, headers and padding included, counted as it comes out of the decompression. */
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the share of the archive that has been read, 0 to 1. */
  progress?(share: number): void;
}

/**
 * Unpacks a .tar or .tar.gz file into an empty folder, owned by this user, without setuid, setgid and sticky bits.
 *
 * @returns what there is now
 * @throws RollcallError `UNSAFE_ARCHIVE`, `ARCHIVE_TOO_LARGE`, `BAD_SOURCE` if it is no archive, `CANCELLED`. The
 *   folder then holds a part of it and is to be removed.
 */
export async function unpackArchive(archive: string, into: string, options: UnpackOptions): Promise<Tree> {
  const { isGzip, sizeBytes } = await lookAt(archive);
  const file = createReadStream(archive);
  const unpacking = new Unpacking(into, options, () =>
    options.progress?.(file.bytesRead / Math.max(1, sizeBytes)),
  );
  const sink = (chunks: AsyncIterable<Buffer>) => unpacking.take(chunks);
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    if (isGzip) await pipeline(file, createGunzip(), sink, signal);
    else await pipeline(file, sink, signal);
  } catch (failure) {
    // The stream that is closed over a problem says only that it was closed.
    const thrown = unpacking.problem ?? failure;
    if (options.signal?.aborted === true) throw refusal("CANCELLED", {}, thrown);
    if (thrown instanceof RollcallError || isDiskFull(thrown)) throw thrown;
    throw notAnArchive(archive, thrown);
  }
  return await listTree(into, { ...options, strict: true });
}

/** One unpacking under way: counts, checks every entry before it is created, and stops at the first bad one. */
class Unpacking {
  readonly #options: UnpackOptions;
  readonly #progressed: () => void;
  readonly #unpack: Unpack;
  readonly #into: string;
  /**
   * Symbolic links are made when everything else is there: nothing is ever written through one, and a link may point at
   * another (tar itself refuses that).
   */
  readonly #links = new Map<string, string>();
  #bytes = 0;
  #entries = 0;
  #ended = false;
  #problem: unknown;

  constructor(into: string, options: UnpackOptions, progressed: () => void) {
    this.#into = into;
    this.#options = options;
    this.#progressed = progressed;
    this.#unpack = new Unpack({
      cwd: into,
      strict: true,
      preserveOwner: false,
      zstd: false,
      filter: (_, entry) => entry instanceof ReadEntry && this.#admit(entry),
    });
    // Types that tar would pass over in silence, and names of more than a mebibyte.
    this.#unpack.on("ignoredEntry", (entry: ReadEntry) => this.#refuse(entry));
    this.#unpack.on("eof", () => {
      this.#ended = true;
    });
    this.#unpack.on("error", (error: unknown) => {
      this.#problem ??= error;
    });
  }

  /** Why it stopped. */
  get problem(): unknown {
    return this.#problem;
  }

  async take(chunks: AsyncIterable<Buffer>): Promise<void> {
    const closed = once(this.#unpack, "close");
    // Its errors are in #problem already.
    closed.catch(() => undefined);
    for await (const chunk of chunks) {
      // Something compressed twice would be decompressed by tar, uncounted.
      if (this.#bytes === 0 && chunk[0] === gzipByte) throw new Error("it is compressed more than once");
      this.#bytes += chunk.length;
      if (this.#bytes > this.#options.bytesMax) this.#problem ??= this.#tooLarge();
      if (this.#problem !== undefined) throw this.#problem;
      // What follows the end is counted, but tar would collect it in memory.
      if (this.#ended) continue;
      if (!this.#unpack.write(chunk)) await Promise.race([once(this.#unpack, "drain"), closed]);
      this.#progressed();
    }
    this.#unpack.end();
    if (this.#problem === undefined) await closed;
    if (this.#problem !== undefined) throw this.#problem;
    await makeLinks(this.#into, this.#links);
  }

  #admit(entry: ReadEntry): boolean {
    if (++this.#entries > this.#options.entriesMax) this.#problem ??= this.#tooLarge();
    const why = whyUnsafe(entry);
    if (why !== undefined) this.#problem ??= unsafeEntry(entry.path, why);
    if (this.#problem !== undefined) return false;
    if (entry.mode !== undefined) entry.mode = (entry.mode & 0o777) | 0o600;
    const path = posix.normalize(entry.path).replace(/\/+$/, "");
    // Of several entries of one name the last counts.
    this.#links.delete(path);
    if (entry.type !== "SymbolicLink") return true;
    this.#links.set(path, entry.linkpath ?? "");
    return false;
  }

  #refuse(entry: ReadEntry): void {
    // Left to makeLinks.
    if (entry.type === "SymbolicLink") return;
    this.#problem ??= unsafeEntry(
      entry.path,
      (entry.meta ? undefined : whyUnsafe(entry)) ?? "its name is too long",
    );
  }

  #tooLarge(): RollcallError {
    const { bytesMax, entriesMax } = this.#options;
    return refusal("ARCHIVE_TOO_LARGE", { maxBytes: bytesMax, maxEntries: entriesMax });
  }
}

function notAnArchive(archive: string, thrown: unknown): RollcallError {
  const problem = oneLine(thrown instanceof Error ? thrown.message : String(thrown));
  return refusal("BAD_SOURCE", { source: `${archive} (${problem})` }, thrown);
}

async function lookAt(archive: string): Promise<{ isGzip: boolean; sizeBytes: number }> {
  const file = await open(archive, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    const { size } = await file.stat();
    return { isGzip: bytesRead === 2 && buffer[0] === gzipByte && buffer[1] === 0x8b, sizeBytes: size };
  } finally {
    await file.close();
  }
}
