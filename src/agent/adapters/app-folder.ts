import { readFile, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { messageOf } from "../../base/errors.js";
import { AppError, type AppToRun } from "../app-engine.js";
import { ifThere } from "./disk-errors.js";

/**
 * The folder of an app's version: its source below `folder`, else `<app>/<version>`.
 *
 * @throws AppError `installation` it leads out of `folder`, or is not there
 */
export async function appFolder(folder: string, { app, version, source }: AppToRun): Promise<string> {
  const root = resolve(folder);
  const path = resolve(root, source ?? join(app, version));
  const below = relative(root, path);
  if (below === ".." || below.startsWith(`..${sep}`))
    throw new AppError("installation", `its source ${source} leads out of ${root}`, { permanent: true });
  const found = await ifThere(stat(path));
  if (found === undefined || !found.isDirectory())
    throw new AppError("installation", `there is no folder ${path}`);
  return path;
}

/** A JSON file of an app; `undefined` if there is none. @throws AppError `installation` it cannot be read or is no JSON */
export async function jsonOfApp(path: string): Promise<unknown> {
  try {
    const text = await ifThere(readFile(path, "utf8"));
    return text === undefined ? undefined : JSON.parse(text);
  } catch (thrown) {
    throw new AppError("installation", `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown });
  }
}
