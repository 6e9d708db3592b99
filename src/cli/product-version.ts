import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { assert } from "../base/assert.js";

const packageSchema = z.object({ name: z.string(), version: z.string() });
const foldersUpMax = 6;

/** The version of Rollcall that runs, from its own package.json: the same from sources, `dist` and an installed package. */
export function productVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < foldersUpMax; up++) {
    const version = versionIn(join(folder, "package.json"));
    if (version !== undefined) return version;
    folder = dirname(folder);
  }
  assert(false, "the package.json of rollcall stands above its code");
}

function versionIn(path: string): string | undefined {
  try {
    const found = packageSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return found.success && found.data.name === "rollcall" ? found.data.version : undefined;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}
