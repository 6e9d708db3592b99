import { RollcallError } from "../../base/errors.js";
import { refusal } from "../../contracts/errors.js";

const fullCodes = new Set(["ENOSPC", "EDQUOT"]);
const fullWords = /\bENOSPC\b|\bEDQUOT\b|No space left on device|Disk quota exceeded/;

/** What Node says with the same code where it may not watch any more files. */
const otherLimit = /ENOSPC: System limit for number of file watchers reached/g;

/** The `code` of a system error, `ENOENT`; `undefined` for anything else. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown) || typeof thrown.code !== "string") return undefined;
  return thrown.code;
}

/** True if an error, or one that it was caused by, says that the disk is full. */
export function isDiskFull(thrown: unknown): boolean {
  if (fullCodes.has(systemCodeOf(thrown) ?? "")) return true;
  return thrown instanceof Error && thrown.cause !== undefined && isDiskFull(thrown.cause);
}

/** True if a program says in what it printed that the disk is full. */
export function saysDiskFull(output: string): boolean {
  return fullWords.test(output.replace(otherLimit, ""));
}

/** Does the work; a full disk below `folder` and a fired signal become the errors of their own names. */
export async function onDisk<T>(
  folder: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof RollcallError) throw thrown;
    if (isDiskFull(thrown)) throw refusal("DISK_FULL", { where: folder }, thrown);
    if (signal?.aborted === true) throw refusal("CANCELLED", {}, thrown);
    throw thrown;
  }
}

/** What `work` gives, or `undefined` where the file it wants is not there. */
export async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (thrown) {
    const code = systemCodeOf(thrown);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw thrown;
  }
}
