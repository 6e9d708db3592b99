import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

/** The part of the environment that says where this user's files are. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folders in which a fetched nats-server may be, best first: `$ROLLCALL_NATS_DIR`, the user's cache, the data folder.
 * Not the package's own folder: an installed package may be read-only, and another user's.
 */
export function cacheFolders(env: Environment, dataDir: string): string[] {
  const home = env.HOME ? join(env.HOME, ".cache") : undefined;
  const userCache = env.XDG_CACHE_HOME || home;
  const folders = [
    env.ROLLCALL_NATS_DIR,
    userCache && join(userCache, "rollcall"),
    join(dataDir, "nats-server"),
  ];
  return folders.filter((folder): folder is string => Boolean(folder)).map((folder) => resolve(folder));
}

/**
 * The first of the folders in which this user can write, made if need be. A user such as `nobody` has no home to write in.
 *
 * @throws Error that names the folders and what was wrong with each
 */
export async function firstWritable(folders: readonly string[]): Promise<string> {
  const problems: Error[] = [];
  for (const folder of folders) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK | constants.X_OK);
      return folder;
    } catch (error) {
      problems.push(error as Error);
    }
  }
  throw new Error(`no folder can be written: ${problems.map(({ message }) => message).join("; ")}`);
}
