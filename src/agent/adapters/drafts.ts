import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ifThere } from "./disk-errors.js";
import type { Layout } from "./layout.js";

/** Whether a file is one that `writeFileAtomic` was, or is, about to make. */
function isDraft(name: string): boolean {
  return name.startsWith(".") && name.endsWith(".tmp");
}

/** The same of another process, which was killed over it; this process's own may be under way. */
export function isLeftDraft(name: string): boolean {
  return isDraft(name) && !name.includes(`.${process.pid}.`);
}

/** Removes the drafts of all files that the release files write. Nothing of them may be under way. */
export async function removeAllDrafts(layout: Layout, routesFile: string): Promise<void> {
  const instances = await below(layout.instances);
  const cached = await below(layout.cache);
  const builds = (await Promise.all(cached.map(below))).flat();
  const copies = instances.map((instance) => join(instance, "copies"));
  for (const folder of [...instances, ...copies, ...cached, ...builds]) await removeDrafts(folder, isDraft);
  // Others may write beside the routes file.
  const ofRoutes = `.${basename(routesFile)}.`;
  await removeDrafts(dirname(routesFile), (name) => isDraft(name) && name.startsWith(ofRoutes));
}

async function below(folder: string): Promise<string[]> {
  const entries = (await ifThere(readdir(folder, { withFileTypes: true }))) ?? [];
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}

async function removeDrafts(folder: string, isOurs: (name: string) => boolean): Promise<void> {
  for (const entry of (await ifThere(readdir(folder, { withFileTypes: true }))) ?? [])
    if (entry.isFile() && isOurs(entry.name)) await rm(join(folder, entry.name), { force: true });
}
