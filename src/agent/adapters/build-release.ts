import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import type { Manifest, Release } from "../../contracts/release.js";
import { BuildLog } from "./build-log.js";
import { type CommandResult, endText } from "./commands.js";
import { saysDiskFull } from "./disk-errors.js";
import { clear, makeFolder, readMarker, removeFolder, syncTree } from "./durable.js";
import { oneLine } from "./printable.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import type { Waiter } from "./shared-work.js";
import { findMissing, listTree, type Tree, treeSchema, withDigests } from "./tree.js";
import { unpackArchive } from "./unpack.js";

/** The built files of a release in the cache. */
export interface Built {
  readonly folder: string;
  readonly tree: Tree;
}

const builtSchema = z.strictObject({
  format: z.literal(1),
  /** The name of the folder beside this file. */
  folder: z.string().regex(/^tree-[A-Za-z0-9]+$/),
  tree: treeSchema,
});

/** Shares of the progress: unpacking, then the build command, then bringing it all to the disk. */
const unpackedPercent = 40;
const builtPercent = 95;
/** A note for people is renewed at most this often. */
const noteEveryMs = 250;

/** What was built of a release before and is whole; `undefined` if it must be built. */
export async function findBuilt(
  context: ReleaseContext,
  release: Release,
  signal: AbortSignal,
): Promise<Built | undefined> {
  const places = context.layout.cached(release);
  const built = await readMarker(places.built, builtSchema, context.log);
  if (built === undefined) return undefined;
  const folder = join(places.build, built.folder);
  const digests = !context.verified.has(folder);
  const missing = await findMissing(folder, built.tree, { mayBeChanged: false, digests, signal });
  if (missing === undefined) {
    context.verified.add(folder);
    return { folder, tree: built.tree };
  }
  context.log.warn(
    { folder, missing },
    "the built files of a release are not whole any more: it is built again",
  );
  return undefined;
}

/**
 * Unpacks and builds a release whose packed files are in the cache. What is there of an earlier try is removed; what the build
 * command printed is kept in `build.log`, also of a build that failed.
 *
 * @throws RollcallError `UNSAFE_ARCHIVE`, `ARCHIVE_TOO_LARGE`, `BUILD_FAILED`, `BUILD_TIMEOUT`, `CANCELLED`
 */
export async function buildRelease(context: ReleaseContext, release: Release, waiter: Waiter): Promise<void> {
  const places = context.layout.cached(release);
  const { limits } = context;
  await makeFolder(places.build);
  await rm(places.built, { force: true });
  for (const name of await readdir(places.build))
    if (name.startsWith("tree-")) await removeFolder(join(places.build, name), scratchName(context));
  const name = `tree-${context.random.id()}`;
  const folder = join(places.build, name);
  await mkdir(folder);
  try {
    await unpackArchive(places.archive, folder, {
      bytesMax: limits.archiveBytesMax,
      entriesMax: limits.archiveEntriesMax,
      signal: waiter.signal,
      progress: (share) => waiter.progress(Math.floor(share * unpackedPercent), "unpacking"),
    });
    const { build } = release.manifest;
    if (build !== undefined) await runBuild(context, release, build, folder, waiter);
    const files = await listTree(folder, {
      bytesMax: limits.builtBytesMax,
      entriesMax: limits.builtEntriesMax,
      signal: waiter.signal,
    });
    const tree = await withDigests(folder, files, waiter.signal);
    waiter.progress(builtPercent, "writing to the disk");
    await syncTree(context.commands, folder, tree, waiter.signal);
    await writeFileAtomic(places.built, JSON.stringify({ format: 1, folder: name, tree }));
    context.verified.add(folder);
  } catch (thrown) {
    await clear(folder);
    throw thrown;
  }
}

async function runBuild(
  context: ReleaseContext,
  release: Release,
  build: NonNullable<Manifest["build"]>,
  folder: string,
  waiter: Waiter,
): Promise<void> {
  const { clock } = context;
  const log = context.layout.cached(release).buildLog;
  const output = await BuildLog.open(log, context.limits.buildLogBytesMax);
  let notedAtMs = clock.monotonicMs();
  waiter.progress(unpackedPercent, "running the build command");
  let result: CommandResult;
  try {
    result = await context.commands.run({
      command: build.command,
      cwd: folder,
      env: { ...release.manifest.env, ROLLCALL_RELEASE: release.version },
      timeoutMs: build.timeoutMs,
      signal: waiter.signal,
      endEscaped: true,
      onOutput(chunk) {
        output.add(chunk);
        if (clock.monotonicMs() - notedAtMs < noteEveryMs) return;
        notedAtMs = clock.monotonicMs();
        waiter.progress(
          unpackedPercent,
          oneLine(chunk.subarray(-512).toString("utf8").trimEnd().split("\n").at(-1) ?? ""),
        );
      },
    });
  } finally {
    await output.close();
  }
  throwIfFailed(result, release, build.timeoutMs, { folder, log });
}

function throwIfFailed(
  { end, tail }: CommandResult,
  { version }: Release,
  timeoutMs: number,
  { folder, log }: { readonly folder: string; readonly log: string },
): void {
  if (end.kind === "ended" && end.code === 0) return;
  if (end.kind === "cancelled") throw refusal("CANCELLED");
  if (saysDiskFull(tail)) throw refusal("DISK_FULL", { where: folder });
  const output = tail === "" ? "it printed nothing" : tail;
  if (end.kind === "timeout") throw refusal("BUILD_TIMEOUT", { version, timeoutMs, output, log });
  throw refusal("BUILD_FAILED", { version, how: endText(end), output, log });
}
