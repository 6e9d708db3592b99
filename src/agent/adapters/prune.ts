import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { escapeToken, unescapeToken } from "../../contracts/names.js";
import { activationSchema } from "./activation.js";
import { ifThere } from "./disk-errors.js";
import { readOwnFile, removeFile, removeFolder } from "./durable.js";
import type { InstancePlaces } from "./layout.js";
import { type ReleaseContext, scratchName } from "./release-context.js";
import { activeSchema } from "./route-files.js";
import { targetOf, versionOfFolder } from "./symlinks.js";

interface InUse {
  readonly releases: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
}

/**
 * Removes the releases of an instance but the `keep` ones, what `current` or `next` points at or an unfinished activation
 * may go back to, and the `keepMax` that were copied last; and configuration files beyond `configsMax`, oldest first.
 */
export async function pruneInstance(
  context: ReleaseContext,
  instance: string,
  keep: readonly string[],
  keepMax: number,
): Promise<void> {
  const places = context.layout.instance(instance);
  const used = await inUse(places);
  const newest = await newestFirst(places.copies, (name) => name.replace(/\.json$/, ""));
  const kept = new Set([...keep, ...used.releases, ...newest.slice(0, keepMax)].map(escapeToken));
  for (const name of (await ifThere(readdir(places.releases))) ?? []) {
    const version = unescapeToken(name);
    if (version === undefined || kept.has(name)) continue;
    // First that it is complete, then the files: a crash in between leaves nothing that is trusted.
    await removeFile(places.copied(version));
    await removeFolder(join(places.releases, name), scratchName(context));
    context.log.info({ instance, release: version }, "removed a release that is not needed any more");
  }
  const configs = await newestFirst(places.configs, (name) => name);
  for (const version of configs.slice(context.limits.configsMax))
    if (!used.configs.has(version)) await rm(places.config(version), { force: true });
}

/** What the files of an instance lead to. */
export async function inUse(places: InstancePlaces): Promise<InUse> {
  const activation = await readOwnFile(places.activation, activationSchema);
  const active = [
    await readOwnFile(places.published, activeSchema),
    await readOwnFile(places.staged, activeSchema),
    activation?.before.published,
  ].filter((one) => one !== undefined && one !== null);
  const pointedAt = [await targetOf(places.current), await targetOf(places.next)].map(versionOfFolder);
  const releases = [...pointedAt, activation?.before.release].filter((one) => typeof one === "string");
  const configs = active.map(({ config }) => config).filter((config) => config !== null);
  return { releases: new Set(releases), configs: new Set(configs) };
}

/** The versions that the files of a folder are named after, those that changed last first. */
async function newestFirst(folder: string, tokenOf: (name: string) => string): Promise<string[]> {
  const found: { version: string; changedAtMs: number }[] = [];
  for (const name of (await ifThere(readdir(folder))) ?? []) {
    const version = unescapeToken(tokenOf(name));
    if (version !== undefined) found.push({ version, changedAtMs: (await stat(join(folder, name))).mtimeMs });
  }
  return found.sort((one, other) => other.changedAtMs - one.changedAtMs).map(({ version }) => version);
}
