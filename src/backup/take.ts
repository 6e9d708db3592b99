import { messageOf, RollcallError } from "../base/errors.js";
import type { Clock } from "../base/ports.js";
import { parseKey } from "../contracts/keys.js";
import { BackupDraft } from "./archive.js";
import type { BackupManifest, BackupPart } from "./manifest.js";
import { backupFormat, eventsFile, recordsFile } from "./manifest.js";
import { eventsUpTo, type Snapshot, snapshotOf } from "./snapshot.js";
import type { LedgerSource } from "./source.js";

/** A backup that was taken. */
export interface TakenBackup {
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly manifest: BackupManifest;
  /** Files of the store that could not be read, and why. */
  readonly missing: readonly string[];
}

/** A file of the store cannot be read whole, however often it is tried. */
export function isDamage(thrown: unknown): boolean {
  return (
    thrown instanceof RollcallError &&
    (thrown.code === "OBJECT_NOT_FOUND" || thrown.code === "CHECKSUM_MISMATCH")
  );
}

/**
 * Takes a backup of a fleet's ledger while it lives: its records exactly as of one revision, its audit events, and the files of
 * its releases and configurations. The file is there whole or not at all.
 *
 * @throws RollcallError `NO_LEDGER`, `LEDGER_HALF_RESTORED`, `LEDGER_UNAVAILABLE`, `BAD_REQUEST` if the file is there already
 */
export async function takeBackup(
  source: LedgerSource,
  file: string,
  options: { readonly clock: Clock; readonly rollcall: string; readonly withFiles: boolean },
): Promise<TakenBackup> {
  const draft = await BackupDraft.begin(file);
  try {
    const snapshot = await snapshotOf(source);
    const records = await draft.add(recordsFile, snapshot.entries.map(lineOf));
    const events = await eventsUpTo(source, snapshot, options.clock);
    const eventsPart = await draft.add(eventsFile, events.map(lineOf));
    const { files, missing } = options.withFiles ? await addFiles(source, draft) : { files: [], missing: [] };
    const manifest: BackupManifest = {
      format: backupFormat,
      rollcall: options.rollcall,
      fleet: source.fleet,
      ledgerId: snapshot.ledgerId,
      revision: snapshot.revision,
      epoch: snapshot.epoch,
      takenAtMs: options.clock.nowMs(),
      head: snapshot.head,
      counts: { ...countsOf(snapshot), events: events.length, files: files.length },
      withFiles: options.withFiles,
      records,
      events: eventsPart,
      files,
    };
    return { file, manifest, missing, ...(await draft.finish(manifest)) };
  } finally {
    await draft.close();
  }
}

/** A file that cannot be read is left out: the backup of a damaged store is worth more than none. */
async function addFiles({ objects }: LedgerSource, draft: BackupDraft) {
  const files: { name: string; digest: string; part: BackupPart }[] = [];
  const missing: string[] = [];
  for (const { name, digest } of await objects.list()) {
    try {
      const part = await draft.add(`files/${files.length + 1}`, objects.get(name));
      files.push({ name, digest, part });
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
      missing.push(`${name}: ${messageOf(thrown)}`);
    }
  }
  return { files, missing };
}

function countsOf({ entries }: Snapshot) {
  const of = (wanted: string) => entries.filter(({ key }) => parseKey(key)?.[0] === wanted).length;
  const [deployments, instances, releases, configs] = [
    of("deployment"),
    of("instance"),
    of("release"),
    of("config"),
  ];
  const others = entries.length - deployments - instances - releases - configs;
  return { deployments, instances, releases, configs, others };
}

function lineOf(record: object): string {
  return `${JSON.stringify(record)}\n`;
}
