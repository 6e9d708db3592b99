import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Log } from "../../base/ports.js";
import { writeFileAtomic } from "../../base-node/atomic-file.js";
import { escapeToken } from "../../contracts/names.js";
import type { ProcessIdentity } from "../ports.js";
import { ifThere } from "./disk-errors.js";
import { isLeftDraft } from "./drafts.js";
import { makeFolder, readMarker, removeFile } from "./durable.js";

const recordSchema = z.strictObject({
  format: z.literal(1),
  instance: z.string(),
  generation: z.int().min(0),
  /** The mark in the environment of this start, see `ProcessMarks`. */
  start: z.string(),
  identity: z.strictObject({ pid: z.int().min(1), startTime: z.string(), bootId: z.string() }),
});
export type ProcessRecord = z.infer<typeof recordSchema>;

/** One small file for each process that was started and is not known to be gone, `<dir>/<pid>-<start time>.json`. */
export class ProcessRecords {
  readonly #dir: string;
  readonly #log: Log;

  constructor(dir: string, log: Log) {
    this.#dir = dir;
    this.#log = log;
  }

  /** On the disk when it resolves. */
  async add(record: ProcessRecord): Promise<void> {
    await makeFolder(this.#dir);
    await writeFileAtomic(this.#path(record.identity), JSON.stringify(record), 0o600);
  }

  async remove(identity: ProcessIdentity): Promise<void> {
    await removeFile(this.#path(identity));
  }

  async all(): Promise<ProcessRecord[]> {
    const records: ProcessRecord[] = [];
    for (const name of (await ifThere(readdir(this.#dir))) ?? []) {
      const path = join(this.#dir, name);
      if (isLeftDraft(name)) await removeFile(path);
      const record = name.endsWith(".json") ? await readMarker(path, recordSchema, this.#log) : undefined;
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  #path({ pid, startTime }: ProcessIdentity): string {
    return join(this.#dir, `${pid}-${escapeToken(startTime)}.json`);
  }
}
