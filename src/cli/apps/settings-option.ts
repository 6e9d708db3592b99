import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { messageOf } from "../../base/errors.js";
import type { AppSettings } from "../../contracts/app.js";
import { usageError } from "../usage-error.js";

/**
 * The settings of an app as a command line gives them: JSON, `@file` with JSON, or `k=v`, of which several may be given; a value that is no JSON
 * is taken as text.
 *
 * @example await settingsIn(["greeting=hello", "retries=3"], cwd) // { greeting: "hello", retries: 3 }
 * @throws RollcallError `USAGE`
 */
export async function settingsIn(given: readonly string[], cwd: string): Promise<AppSettings> {
  const parts = await Promise.all(given.map((text) => partIn(text, cwd)));
  return Object.assign({}, ...parts) as AppSettings;
}

async function partIn(text: string, cwd: string): Promise<object> {
  if (text.startsWith("@")) return objectIn(await contentOf(resolve(cwd, text.slice(1))), text.slice(1));
  if (text.trimStart().startsWith("{")) return objectIn(text, "--settings");
  const at = text.indexOf("=");
  if (at < 1) throw usageError(`--settings ${text} is neither JSON, @file nor k=v.`);
  return { [text.slice(0, at)]: valueIn(text.slice(at + 1)) };
}

async function contentOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw usageError(`${path} cannot be read: ${messageOf(thrown)}.`);
  }
}

function objectIn(text: string, from: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (thrown) {
    throw usageError(`The settings in ${from} are no JSON: ${messageOf(thrown)}.`);
  }
  throw usageError(`The settings in ${from} are no JSON object.`);
}

function valueIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
