import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import type { Release, ReleaseSource } from "../../contracts/release.js";
import { clear, makeFolder, readMarker } from "./durable.js";
import { fetchCommit } from "./git.js";
import { digestOf, pullObject } from "./pull-object.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import type { Waiter } from "./shared-work.js";
import { syncPath } from "./sync-path.js";

const pulledSchema = z.strictObject({ format: z.literal(1), digest: z.string() });

/**
 * Brings the packed files of a release into the cache, unless they are there and whole.
 *
 * @throws RollcallError `CHECKSUM_MISMATCH`, `OBJECT_NOT_FOUND`, `ARCHIVE_TOO_LARGE`, `GIT_REF_UNKNOWN`, `GIT_FAILED`,
 *   `NO_GIT`, `NO_CONTAINER_ENGINE`, `CANCELLED`
 */
export async function pullSource(context: ReleaseContext, release: Release, waiter: Waiter): Promise<void> {
  const { source } = release;
  const places = context.layout.cached(release);
  if (source.kind === "image") throw refusal("NO_CONTAINER_ENGINE");
  const pulled = await readMarker(places.pulled, pulledSchema, context.log);
  waiter.progress(0, "checking what is here");
  if (pulled !== undefined && (await digestOf(places.archive, waiter.signal)) === pulled.digest) return;
  await makeFolder(places.folder);
  await rm(places.pulled, { force: true });
  const digest =
    source.kind === "artifact"
      ? await pullArtifact(context, source, places.archive, waiter)
      : await pullGit(context, source, places.archive, waiter);
  await writeFileAtomic(places.pulled, JSON.stringify({ format: 1, digest }));
}

async function pullArtifact(
  context: ReleaseContext,
  { object }: Extract<ReleaseSource, { kind: "artifact" }>,
  archive: string,
  waiter: Waiter,
): Promise<string> {
  const { archiveBytesMax, archiveEntriesMax } = context.limits;
  if (object.sizeBytes > archiveBytesMax)
    throw refusal("ARCHIVE_TOO_LARGE", { maxBytes: archiveBytesMax, maxEntries: archiveEntriesMax });
  await pullObject(context.objects, object, archive, scratchName(context), {
    signal: waiter.signal,
    mode: 0o600,
    progress: (share) => waiter.progress(Math.floor(share * 100), `downloading ${object.sizeBytes} bytes`),
  });
  return object.digest;
}

async function pullGit(
  context: ReleaseContext,
  source: Extract<ReleaseSource, { kind: "git" }>,
  archive: string,
  waiter: Waiter,
): Promise<string> {
  const work = scratchName(context);
  await mkdir(work);
  try {
    const fetched = await fetchCommit(source, work, {
      commands: context.commands,
      timeoutMs: context.limits.gitTimeoutMs,
      signal: waiter.signal,
      progress: (share) => waiter.progress(Math.floor(share * 95), `git: fetching ${source.ref}`),
    });
    if (fetched.hasSubmodules)
      context.log.warn(
        { commit: source.commit },
        "the release has git submodules: they are not fetched, their folders are empty",
      );
    const digest = await digestOf(fetched.archive, waiter.signal);
    if (digest === undefined)
      throw refusal("GIT_FAILED", { url: source.url, problem: "it wrote no archive" });
    await syncPath(fetched.archive);
    await rename(fetched.archive, archive);
    await syncPath(dirname(archive));
    return digest;
  } finally {
    await clear(work);
  }
}
