import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Objects, StoredObject } from "../../base/ports.js";
import { syncFolder } from "../../base-node/atomic-file.js";
import { refusal } from "../../contracts/errors.js";
import { throwIfCancelled, untilCancelled } from "./cancelling.js";
import { ifThere } from "./disk-errors.js";

interface PullOptions {
  readonly signal: AbortSignal;
  /** Permissions of the file. */
  readonly mode: number;
  /** Called with the share that has arrived, 0 to 1. */
  progress?(share: number): void;
}

/**
 * Brings a stored file to `path`, whose folder exists: checked against its digest before it gets its name, so what
 * bears that name is whole.
 *
 * @param temporary a name that nobody else uses, in the same file system
 * @throws RollcallError `OBJECT_NOT_FOUND`, `CHECKSUM_MISMATCH`, `CANCELLED`
 */
export async function pullObject(
  objects: Pick<Objects, "get">,
  object: StoredObject,
  path: string,
  temporary: string,
  options: PullOptions,
): Promise<void> {
  try {
    const found = await download(objects, object, temporary, options);
    if (found !== object.digest)
      throw refusal("CHECKSUM_MISMATCH", { name: object.name, found, expected: object.digest });
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}

async function download(
  objects: Pick<Objects, "get">,
  object: StoredObject,
  temporary: string,
  { signal, mode, progress }: PullOptions,
): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(temporary, "wx", mode);
  let bytes = 0;
  try {
    for await (const chunk of untilCancelled(objects.get(object.name), signal)) {
      bytes += chunk.length;
      // More than was announced is never stored, however much it is.
      if (bytes > object.sizeBytes) break;
      hash.update(chunk);
      await writeAll(file, chunk);
      progress?.(bytes / object.sizeBytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return bytes === object.sizeBytes
    ? `sha256:${hash.digest("hex")}`
    : `that of ${bytes} bytes instead of ${object.sizeBytes}`;
}

async function writeAll(
  file: { write(data: Uint8Array): Promise<{ bytesWritten: number }> },
  data: Uint8Array,
): Promise<void> {
  for (let at = 0; at < data.length; ) at += (await file.write(data.subarray(at))).bytesWritten;
}

/** The digest of a file as releases name it; `undefined` if there is none. */
export async function digestOf(path: string, signal?: AbortSignal): Promise<string | undefined> {
  const file = await ifThere(open(path, "r"));
  if (file === undefined) return undefined;
  const hash = createHash("sha256");
  try {
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      throwIfCancelled(signal);
      hash.update(chunk as Buffer);
    }
  } finally {
    await file.close();
  }
  return `sha256:${hash.digest("hex")}`;
}
