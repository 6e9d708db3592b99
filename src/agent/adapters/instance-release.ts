import { mkdir, rename, rm } from "node:fs/promises";
import { z } from "zod";
import { syncFolder, writeFileAtomic } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import type { Release } from "../../contracts/release.js";
import type { PhaseWork } from "../ports.js";
import type { Built } from "./build-release.js";
import { copyTree } from "./copy-tree.js";
import { clear, makeFolder, readMarker, removeFolder, syncTree } from "./durable.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { targetOf } from "./symlinks.js";
import { findMissing, treeSchema } from "./tree.js";

const copiedSchema = z.strictObject({
  format: z.literal(1),
  /** What was copied, see `CachePlaces`: a version name alone may be given to other content by a new control plane. */
  source: z.string(),
  build: z.string(),
  tree: treeSchema,
});

/** Of the release folder of an instance. `other`: complete, but of other content than the release has now. */
export type Completeness = "complete" | "incomplete" | "other";

/**
 * Looks whether every file that was copied is there and is what was copied. What the service wrote itself does not count, nor what it
 * wrote into files. With `digests` each file is read, but once only in the life of an agent.
 */
export async function completenessOf(
  context: ReleaseContext,
  instance: string,
  release: Release,
  { signal, digests }: { readonly signal: AbortSignal; readonly digests: boolean },
): Promise<Completeness> {
  const places = context.layout.instance(instance);
  const cached = context.layout.cached(release);
  const copied = await readMarker(places.copied(release.version), copiedSchema, context.log);
  if (copied === undefined) return "incomplete";
  const folder = places.release(release.version);
  const comparison = { mayBeChanged: true, digests: digests && !context.verified.has(folder), signal };
  const missing = await findMissing(folder, copied.tree, comparison);
  if (missing === undefined && digests) context.verified.add(folder);
  if (missing === undefined)
    return copied.source === cached.key && copied.build === cached.buildKey ? "complete" : "other";
  context.log.warn({ instance, folder, missing }, "a release folder is not whole any more");
  return "incomplete";
}

/**
 * Fills the release folder of an instance from the built files. The folder gets its name when it is whole, and counts as
 * complete once the list of its files is written beside it.
 *
 * @throws RollcallError `VERSION_EXISTS` if other content of that version is what the instance runs, `CANCELLED`
 */
export async function copyRelease(context: ReleaseContext, work: PhaseWork, built: Built): Promise<void> {
  const places = context.layout.instance(work.instance);
  const { version } = work.release;
  const folder = places.release(version);
  const marker = places.copied(version);
  await refuseOther(context, work);
  await makeFolder(places.releases);
  await makeFolder(places.copies);
  const draft = scratchName(context);
  await mkdir(draft);
  try {
    await copyTree(built.folder, draft, built.tree, {
      signal: work.signal,
      progress: (share) => work.progress(Math.floor(share * 90), "copying"),
    });
    work.progress(90, "writing to the disk");
    await syncTree(context.commands, draft, built.tree, work.signal);
    await rm(marker, { force: true });
    await removeFolder(folder, scratchName(context));
    await rename(draft, folder);
    await syncFolder(places.releases);
  } catch (thrown) {
    await clear(draft);
    throw thrown;
  }
  const { key, buildKey } = context.layout.cached(work.release);
  await writeFileAtomic(
    marker,
    JSON.stringify({ format: 1, source: key, build: buildKey, tree: built.tree }),
  );
  context.verified.add(folder);
}

/** A folder that something runs from is never replaced by other content. */
async function refuseOther(context: ReleaseContext, work: PhaseWork): Promise<void> {
  const { version } = work.release;
  const completeness = await completenessOf(context, work.instance, work.release, {
    signal: work.signal,
    digests: false,
  });
  if (completeness !== "other") return;
  const places = context.layout.instance(work.instance);
  if ((await targetOf(places.current)) === places.release(version))
    throw refusal("VERSION_EXISTS", { what: "release", version });
}
