import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { RollcallError } from "../../base/errors.js";
import type { Clock, Random } from "../../base/ports.js";
import { refusal } from "../../contracts/errors.js";
import type { Manifest } from "../../contracts/release.js";
import { throwIfCancelled } from "./cancelling.js";
import { Commands } from "./commands.js";
import { ifThere, isDiskFull } from "./disk-errors.js";
import { fetchCommit, isCommitId, resolveRef, withoutCredentials } from "./git.js";
import { defaultReleaseLimits, type ReleaseLimits } from "./limits.js";
import { readManifest } from "./manifest-file.js";
import { type PackedFile, packFolder } from "./pack-folder.js";
import { oneLine } from "./printable.js";
import { digestOf } from "./pull-object.js";
import { unpackArchive } from "./unpack.js";

export interface PackOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal;
  /** The version that is being pushed, for messages. */
  readonly version?: string;
  /** What of a directory stays out, besides what its `.rollcallignore` says: a data folder inside it, for example. */
  readonly leaveOut?: readonly string[];
  readonly limits?: Partial<ReleaseLimits>;
}

/** Where the files of a packed release come from. */
export type PackedSource =
  | {
      readonly kind: "artifact";
      readonly digest: string;
      readonly sizeBytes: number;
      /** The bytes to upload; may be called again. */
      chunks(): AsyncIterable<Uint8Array>;
    }
  | { readonly kind: "git"; readonly url: string; readonly ref: string; readonly commit: string };

export interface PackedRelease {
  readonly manifest: Manifest;
  readonly source: PackedSource;
  /** Removes the temporary files; afterwards the chunks are gone. */
  close(): Promise<void>;
}

/**
 * Reads a release as `rollcall releases push VERSION SOURCE` gets it: a directory, a `.tar.gz` file or `git+URL#REF`, checks it as an
 * agent will, and makes it ready to upload. A directory gives the same digest whenever its content is the same. The agents get a
 * git repository by its address and commit, so each of them must be able to read it.
 *
 * @example
 * const packed = await packRelease("./my-service", { clock, random });
 * try { await objects.put(name, packed.source.chunks()) } finally { await packed.close() }
 *
 * @throws RollcallError `BAD_SOURCE`, `BAD_MANIFEST`, `UNSAFE_ARCHIVE`, `ARCHIVE_TOO_LARGE`, `GIT_REF_UNKNOWN`,
 *   `GIT_FAILED`, `NO_GIT`, `DISK_FULL`, `CANCELLED`
 */
export async function packRelease(source: string, options: PackOptions): Promise<PackedRelease> {
  throwIfCancelled(options.signal);
  const folder = await mkdtemp(join(tmpdir(), "rollcall-pack-"));
  const close = () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  try {
    const packed = await packInto(source, folder, options);
    return { ...packed, close };
  } catch (thrown) {
    await close();
    if (thrown instanceof RollcallError) throw thrown;
    if (isDiskFull(thrown)) throw refusal("DISK_FULL", { where: folder }, thrown);
    const problem = oneLine(thrown instanceof Error ? thrown.message : String(thrown));
    throw refusal("BAD_SOURCE", { source: `${nameOf(source)} (${problem})` }, thrown);
  }
}

type Packed = Omit<PackedRelease, "close">;

async function packInto(source: string, folder: string, options: PackOptions): Promise<Packed> {
  if (source.startsWith("git+")) return await packGit(source, folder, options);
  const path = resolve(source);
  const stats = await ifThere(stat(path));
  if (stats?.isDirectory() === true) return await packDirectory(path, folder, options);
  if (stats?.isFile() === true) return await packArchive(path, stats.size, folder, options);
  throw refusal("BAD_SOURCE", { source: nameOf(source) });
}

async function packDirectory(path: string, folder: string, options: PackOptions): Promise<Packed> {
  const manifest = await readManifest(path, options.version);
  const packed = await packFolder(path, join(folder, "release.tar.gz"), {
    ...boundsOf(options),
    leaveOut: (options.leaveOut ?? []).map((one) => resolve(one)),
  });
  return { manifest, source: artifact(packed) };
}

async function packArchive(
  path: string,
  sizeBytes: number,
  folder: string,
  options: PackOptions,
): Promise<Packed> {
  const { bytesMax, entriesMax } = boundsOf(options);
  if (sizeBytes > bytesMax)
    throw refusal("ARCHIVE_TOO_LARGE", { maxBytes: bytesMax, maxEntries: entriesMax });
  const manifest = await unpackAndRead(path, folder, options);
  const digest = await digestOf(path, options.signal);
  if (digest === undefined) throw refusal("BAD_SOURCE", { source: path });
  return { manifest, source: artifact({ path, digest, sizeBytes }) };
}

async function packGit(source: string, folder: string, options: PackOptions): Promise<Packed> {
  const hash = source.lastIndexOf("#");
  const url = await addressOf(source.slice("git+".length, hash < 0 ? undefined : hash));
  const ref = hash < 0 ? "" : source.slice(hash + 1);
  // A name that begins like an option, or with the transport that runs programs, is none.
  if (url === "" || ref === "" || /^-|^ext::/.test(url) || ref.startsWith("-"))
    throw refusal("BAD_SOURCE", { source: nameOf(source) });
  const { clock, random, signal } = options;
  const limits = { ...defaultReleaseLimits, ...options.limits };
  const git = {
    commands: new Commands({ clock, random, owner: "pack" }),
    timeoutMs: limits.gitTimeoutMs,
    signal,
  };
  const commit = isCommitId(ref) ? ref : await resolveRef(url, ref, folder, git);
  const { archive } = await fetchCommit({ url, ref, commit }, folder, git);
  return {
    manifest: await unpackAndRead(archive, folder, options),
    source: { kind: "git", url, ref, commit },
  };
}

/** A path is made absolute: git is run elsewhere, and so are the agents. */
async function addressOf(url: string): Promise<string> {
  if (url === "" || url.startsWith("-") || url.includes("://")) return url;
  const path = resolve(url);
  return (await ifThere(stat(path)))?.isDirectory() === true ? path : url;
}

async function unpackAndRead(archive: string, folder: string, options: PackOptions): Promise<Manifest> {
  const files = join(folder, "files");
  await mkdir(files);
  await unpackArchive(archive, files, boundsOf(options));
  return await readManifest(files, options.version);
}

function artifact({ path, digest, sizeBytes }: PackedFile): PackedSource {
  return { kind: "artifact", digest, sizeBytes, chunks: () => createReadStream(path) };
}

function boundsOf({ limits, signal }: PackOptions): {
  bytesMax: number;
  entriesMax: number;
  signal: AbortSignal | undefined;
} {
  const { archiveBytesMax, archiveEntriesMax } = { ...defaultReleaseLimits, ...limits };
  return { bytesMax: archiveBytesMax, entriesMax: archiveEntriesMax, signal };
}

function nameOf(source: string): string {
  return oneLine(
    source.startsWith("git+") ? `git+${withoutCredentials(source.slice("git+".length))}` : source,
  );
}
