import { readdir } from "node:fs/promises";
import { unescapeToken } from "../../contracts/names.js";
import type { DiskSurvey, SurveyedRelease } from "../ports.js";
import { activeWith } from "./activation.js";
import { ifThere } from "./disk-errors.js";
import { readMarker, removeFile, removeFolder } from "./durable.js";
import { completenessOf } from "./instance-release.js";
import type { InstancePlaces } from "./layout.js";
import { inUse } from "./prune.js";
import type { Publisher } from "./publisher.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { activeSchema } from "./route-files.js";
import { targetOf } from "./symlinks.js";

/** What lies on the disk of an instance, seen from what is active; nothing is changed. */
export async function surveyInstance(
  context: ReleaseContext,
  publisher: Publisher,
  instance: string,
  active: SurveyedRelease | null,
): Promise<DiskSurvey> {
  const places = context.layout.instance(instance);
  const releases = await releasesOf(places);
  if (active === null) return { link: "right", routes: "right", whole: true, releases };
  const { signal } = new AbortController();
  const pointsAt = await targetOf(places.current);
  const wanted = places.release(active.release.version);
  const published = await readMarker(places.published, activeSchema, context.log);
  const { release, config, port } = active;
  const shouldBe = activeWith({ release: release.version, config }, instance, {
    port,
    routes: release.manifest.routes,
  });
  const isPublished =
    JSON.stringify(published) === JSON.stringify(shouldBe) && (await publisher.isPublished());
  return {
    link: pointsAt === wanted ? "right" : pointsAt === undefined ? "missing" : "wrong",
    routes: isPublished ? "right" : "wrong",
    whole: (await completenessOf(context, instance, release, { signal, digests: false })) !== "incomplete",
    releases,
  };
}

async function releasesOf(places: InstancePlaces): Promise<DiskSurvey["releases"]> {
  const copies = new Set((await ifThere(readdir(places.copies))) ?? []);
  return ((await ifThere(readdir(places.releases))) ?? []).flatMap((name) => {
    const version = unescapeToken(name);
    return version === undefined ? [] : [{ version, complete: copies.has(`${name}.json`) }];
  });
}

/** Every instance that has a folder here. */
export async function instancesOnDisk(context: ReleaseContext): Promise<string[]> {
  const names = (await ifThere(readdir(context.layout.instances))) ?? [];
  return names.flatMap((name) => unescapeToken(name) ?? []);
}

/** @returns false if something on the disk still leads to it */
export async function removeRelease(
  context: ReleaseContext,
  instance: string,
  version: string,
): Promise<boolean> {
  const places = context.layout.instance(instance);
  if ((await inUse(places)).releases.has(version)) return false;
  // First that it is complete, then the files: a crash in between leaves nothing that is trusted.
  await removeFile(places.copied(version));
  await removeFolder(places.release(version), scratchName(context));
  return true;
}
