import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { create, extract } from "tar";
import { z } from "zod";
import { messageOf, RollcallError } from "../base/errors.js";
import { syncFolder } from "../base-node/atomic-file.js";
import { refusal } from "../contracts/errors.js";
import type { BackupManifest, BackupPart } from "./manifest.js";
import { backupFormat, backupManifestSchema, manifestFile, partPattern } from "./manifest.js";

/** The parts of a backup while it is made, in a folder beside the file that it becomes. */
export class BackupDraft {
  readonly #file: string;
  readonly #folder: string;
  readonly #parts: string[] = [];

  private constructor(file: string, folder: string) {
    this.#file = file;
    this.#folder = folder;
  }

  /** @param file where the backup is to be. @throws RollcallError `BAD_REQUEST` if something is there already, or nothing can be written there */
  static async begin(file: string): Promise<BackupDraft> {
    const another = "name another file for the backup";
    if (await isThere(file))
      throw refusal("BAD_REQUEST", { problem: `${file} is there already: ${another}` });
    const folder = `${join(dirname(file), `.${basename(file)}`)}.${process.pid}.tmp`;
    try {
      await rm(folder, { recursive: true, force: true });
      await mkdir(join(folder, "files"), { recursive: true, mode: 0o700 });
    } catch (thrown) {
      const problem = `${file} cannot be written (${messageOf(thrown)}): ${another}`;
      throw refusal("BAD_REQUEST", { problem }, thrown);
    }
    return new BackupDraft(file, folder);
  }

  /** Writes a part. @param name its path in the archive */
  async add(
    name: string,
    chunks: AsyncIterable<Uint8Array | string> | Iterable<string>,
  ): Promise<BackupPart> {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    async function* counted() {
      for await (const chunk of chunks) {
        const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
        hash.update(bytes);
        sizeBytes += bytes.length;
        yield bytes;
      }
    }
    await pipeline(Readable.from(counted()), createWriteStream(join(this.#folder, name), { mode: 0o600 }));
    this.#parts.push(name);
    return { file: name, sizeBytes, sha256: hash.digest("hex") };
  }

  /** Makes the file of it, whole or not at all: it is on the disk before it has its name. */
  async finish(manifest: BackupManifest): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
    await this.add(manifestFile, [`${JSON.stringify(manifest, null, 2)}\n`]);
    const packed = `${this.#folder}.tar.gz`;
    try {
      // The manifest first: whoever reads on knows what to expect.
      const order = [manifestFile, ...this.#parts.filter((name) => name !== manifestFile)];
      await create({ file: packed, gzip: true, portable: true, cwd: this.#folder }, order);
      await chmod(packed, 0o600);
      await synced(packed);
      const done = await checksumOf(packed);
      await rename(packed, this.#file);
      await syncFolder(dirname(this.#file));
      return done;
    } finally {
      await rm(packed, { force: true });
    }
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Unpacks a backup into an empty folder and checks every part against the manifest.
 *
 * @throws RollcallError `BAD_BACKUP` for a file that is none, is damaged, or of a newer format
 */
export async function openBackup(file: string, folder: string): Promise<BackupManifest> {
  try {
    if (!(await isThere(file))) throw new Error("there is no such file");
    const strangers: string[] = [];
    await extract({
      file,
      cwd: folder,
      strict: true,
      preserveOwner: false,
      filter: (path, entry) => {
        const type = "type" in entry ? entry.type : undefined;
        const isPart =
          (type === "File" && partPattern.test(path)) || (type === "Directory" && path === "files/");
        if (!isPart) strangers.push(path);
        return isPart;
      },
    });
    if (strangers[0] !== undefined)
      throw new Error(`it holds ${JSON.stringify(strangers[0])}, which no backup does`);
    const manifest = await manifestIn(folder);
    for (const part of [manifest.records, manifest.events, ...manifest.files.map((one) => one.part)])
      await check(folder, part);
    return manifest;
  } catch (thrown) {
    if (thrown instanceof RollcallError) throw thrown;
    throw refusal("BAD_BACKUP", { file, problem: messageOf(thrown) }, thrown);
  }
}

async function manifestIn(folder: string): Promise<BackupManifest> {
  const content: unknown = JSON.parse(await readFile(join(folder, manifestFile), "utf8"));
  const format = typeof content === "object" && content !== null && "format" in content ? content.format : 0;
  if (typeof format === "number" && format > backupFormat)
    throw new Error(`it has format ${format}, newer than ${backupFormat} that this Rollcall knows`);
  const parsed = backupManifestSchema.safeParse(content);
  if (!parsed.success) throw new Error(`its manifest is not understood: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

async function check(folder: string, part: BackupPart): Promise<void> {
  const path = join(folder, part.file);
  if (!partPattern.test(part.file) || !(await isThere(path)))
    throw new Error(`${part.file} is missing in it`);
  const { sha256, sizeBytes } = await checksumOf(path);
  if (sha256 !== part.sha256 || sizeBytes !== part.sizeBytes)
    throw new Error(`${part.file} in it was changed: its checksum is ${sha256} instead of ${part.sha256}`);
}

async function checksumOf(path: string): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sizeBytes, sha256: hash.digest("hex") };
}

async function synced(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
