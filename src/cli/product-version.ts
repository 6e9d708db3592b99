import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { assert } from "../base/assert.js";

const packageSchema = z.object({ name: z.string(), version: z.string() });
const foldersUpMax = 6;

/** The version of Rollcall that runs, from its own package.json: the same from sources, `dist` and an installed package. */
export function productVersion(): string {
  return product().version;
}

/** `1f1a419`, or `1f1a419+` with changes since; undefined where Rollcall does not run from its repository. */
export function productCommit(): string | undefined {
  const { folder } = product();
  if (!existsSync(join(folder, ".git"))) return undefined;
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", folder, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  try {
    const isChanged = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "--short", "HEAD").trim()}${isChanged ? "+" : ""}`;
  } catch {
    // Without git nobody knows.
    return undefined;
  }
}

function product(): { readonly folder: string; readonly version: string } {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < foldersUpMax; up++) {
    const version = versionIn(join(folder, "package.json"));
    if (version !== undefined) return { folder, version };
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
