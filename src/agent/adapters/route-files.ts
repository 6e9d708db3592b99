import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { unescapeToken } from "../../contracts/names.js";
import { ifThere } from "./disk-errors.js";
import { readOwnFile } from "./durable.js";
import type { Layout } from "./layout.js";

const routeSchema = z.strictObject({
  host: z.string().optional(),
  path: z.string(),
  instance: z.string(),
  /** Where the traffic goes, `http://127.0.0.1:8080`. */
  target: z.string(),
});
export type PublishedRoute = z.infer<typeof routeSchema>;

export const activeSchema = z.strictObject({
  format: z.literal(1),
  release: z.string(),
  config: z.string().nullable(),
  routes: z.array(routeSchema),
});
/** What an instance runs, or is to run, and the traffic that goes to it. */
export type Active = z.infer<typeof activeSchema>;

/** The text of the routes file: the routes of all instances of this host, always in the same order. */
export async function routesText(layout: Layout): Promise<string> {
  const routes: PublishedRoute[] = [];
  for (const name of (await ifThere(readdir(layout.instances))) ?? []) {
    const instance = unescapeToken(name);
    if (instance === undefined) continue;
    const active = await readOwnFile(layout.instance(instance).published, activeSchema);
    routes.push(...(active?.routes ?? []));
  }
  routes.sort((one, other) => (orderOf(one) < orderOf(other) ? -1 : 1));
  return `${JSON.stringify({ routes }, null, 2)}\n`;
}

function orderOf({ host = "", path, instance, target }: PublishedRoute): string {
  return [host, path, instance, target].join("\n");
}

/** What the routes file holds now; what no file at all means if there is none. */
export async function publishedText(routesFile: string): Promise<string> {
  return (await ifThere(readFile(routesFile, "utf8"))) ?? `${JSON.stringify({ routes: [] }, null, 2)}\n`;
}

/** The routes file where the user named none. */
export function defaultRoutesFile(layout: Layout): string {
  return join(layout.dataDir, "routes.json");
}
