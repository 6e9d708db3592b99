import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RecordStore } from "../../base/ports.js";
import { readJsonFile, syncFolder, writeFileAtomic } from "../../base-node/atomic-file.js";
import { escapeToken, unescapeToken } from "../../contracts/names.js";
import { ifThere, onDisk } from "./disk-errors.js";
import { isLeftDraft } from "./drafts.js";
import { Turns } from "./turns.js";

/**
 * Records as files, `<dir>/<kind>/<id>.json`. Each is replaced whole and synced, so that after a crash or a power cut it is
 * the old or the new one. Writes of one record happen in the order they were asked for. One process at a time: the folder is locked
 * by whoever opens it.
 *
 * A file that is no JSON is set aside as `<id>.json.unreadable`, for whoever wants to know, and its record is `undefined`.
 */
export function createRecordFiles(dir: string): RecordStore {
  const turns = new Turns();
  const fileOf = (kind: string, id: string) => join(dir, escapeToken(kind), `${escapeToken(id)}.json`);
  const write = (file: string, work: () => Promise<void>) =>
    turns.run(file, undefined, () => onDisk(dir, undefined, work));
  return {
    async load(kind) {
      return await loadAll(join(dir, escapeToken(kind)));
    },
    async save(kind, id, record) {
      // Taken now: the caller may change the record while an earlier write of it is under way.
      const text = `${JSON.stringify(record)}\n`;
      const file = fileOf(kind, id);
      await write(file, async () => {
        await makeFolder(dir, join(dir, escapeToken(kind)));
        await writeFileAtomic(file, text, 0o600);
      });
    },
    async remove(kind, id) {
      const file = fileOf(kind, id);
      await write(file, async () => {
        if ((await ifThere(rm(file).then(() => true))) === true)
          await syncFolder(join(dir, escapeToken(kind)));
      });
    },
  };
}

async function loadAll(folder: string): Promise<{ id: string; record: unknown }[]> {
  const records: { id: string; record: unknown }[] = [];
  for (const name of (await ifThere(readdir(folder))) ?? []) {
    const path = join(folder, name);
    // What a crash left behind in the middle of a write.
    if (isLeftDraft(name)) await rm(path, { force: true });
    const id = name.endsWith(".json") ? unescapeToken(name.slice(0, -".json".length)) : undefined;
    if (id !== undefined) records.push({ id, record: await readRecord(path) });
  }
  return records.sort((one, other) => (one.id < other.id ? -1 : 1));
}

async function readRecord(path: string): Promise<unknown> {
  try {
    return await readJsonFile(path);
  } catch (thrown) {
    if (!(thrown instanceof Error) || !(thrown.cause instanceof SyntaxError)) throw thrown;
    await rename(path, `${path}.unreadable`);
    await syncFolder(dirname(path));
    return undefined;
  }
}

async function makeFolder(dir: string, folder: string): Promise<void> {
  if ((await mkdir(folder, { recursive: true })) === undefined) return;
  await syncFolder(dir);
}
