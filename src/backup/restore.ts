import { createReadStream } from "node:fs";
import { isLeftBehind, restoredDeployment } from "../../machines/restored.js";
import type { LedgerEntry, Objects } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import { formatOf } from "../contracts/formats.js";
import { parseKey } from "../contracts/keys.js";
import { byUser } from "../contracts/origin.js";
import { currentFormats } from "../contracts/record-formats.js";
import { type FoundLedger, restoreLedger } from "../ledger/restore.js";
import type { LedgerParts } from "../ledger/store-ledger.js";
import type { OpenBackup } from "./verify.js";

/** How a backup is put back. */
export interface RestoreRequest {
  /** The backup's, for messages. */
  readonly file: string;
  /** Who asks, for the audit log. */
  readonly by: string;
  /** A name of its own among the fleet's coordinators. */
  readonly holder: string;
  /** Put it in the place of records that are there. */
  readonly force: boolean;
  /** Takes a backup of what is there before it is replaced. @returns its file */
  readonly saveFirst: () => Promise<string>;
}

/** What a restore did. */
export interface Restored {
  readonly ledgerId: string;
  readonly records: number;
  readonly files: number;
  /** Deployments that wait for a person, and those that were ended since they would have told instances something at once. */
  readonly paused: readonly string[];
  readonly ended: readonly string[];
  /** The backup of what was there; `null` if nothing was. */
  readonly saved: string | null;
}

/**
 * Puts a backup in the place of what a ledger holds, under a new identity. Instances keep what they run: no desired state
 * comes back, and roll-outs that were under way are paused.
 *
 * @throws RollcallError `LEDGER_IN_USE`, `LEDGER_NOT_EMPTY`, `BAD_BACKUP`, `LEDGER_UNAVAILABLE`, `LEDGER_FULL`, `OBJECT_STORE_FULL`
 */
export async function restoreBackup(
  parts: LedgerParts,
  objects: Objects,
  backup: OpenBackup,
  request: RestoreRequest,
): Promise<Restored> {
  const { manifest, findings } = backup;
  const unreadable = findings.find(({ kind }) => kind === "unreadable");
  if (unreadable !== undefined)
    throw refusal("BAD_BACKUP", {
      file: request.file,
      problem: `${unreadable.where}: ${unreadable.problem}`,
    });
  const { ledgerId, revision, takenAtMs, epoch } = manifest;
  let plan: Plan = { puts: [], paused: [], ended: [] };
  let saved: string | null = null;
  let files = 0;
  const done = await restoreLedger(parts, {
    holder: request.holder,
    from: { ledgerId, revision, takenAtMs },
    epoch,
    afterMs: newestMs(backup.entries),
    origin: byUser(request.by, request.holder),
    about: { ledgerId, revision, takenAtMs, records: manifest.records.sha256 },
    prepare: async (found) => {
      saved = await makeWay(found, parts.fleet, request);
      plan = planOf(backup, { by: request.by, nowMs: found.nowMs });
      // The records name them: they come first.
      files = await putFiles(objects, backup);
      return plan.puts;
    },
  });
  const { paused, ended } = plan;
  return { ledgerId: done.ledgerId, records: done.records, files, paused, ended, saved };
}

/** What a ledger that was only just made, or half restored, holds may go; anything else is backed up first. */
async function makeWay(
  { entries, halfRestored }: FoundLedger,
  fleet: string,
  { force, saveFirst }: RestoreRequest,
): Promise<string | null> {
  const count = entries.filter(({ key }) => !isLeftBehind(key)).length;
  if (halfRestored || count === 0) return null;
  if (!force) throw refusal("LEDGER_NOT_EMPTY", { fleet, count });
  return await saveFirst();
}

interface Plan {
  readonly puts: readonly { readonly key: string; readonly value: unknown }[];
  readonly paused: readonly string[];
  readonly ended: readonly string[];
}

function planOf({ entries, manifest }: OpenBackup, { by, nowMs }: { by: string; nowMs: number }): Plan {
  const taken = new Date(manifest.takenAtMs).toISOString();
  const mark = { by, atMs: nowMs, reason: `the ledger was restored from the backup of ${taken}` };
  const plan = {
    puts: [] as { key: string; value: unknown }[],
    paused: [] as string[],
    ended: [] as string[],
  };
  for (const { key, value } of entries) {
    if (isLeftBehind(key)) continue;
    const isDeployment = parseKey(key)?.[0] === "deployment";
    const place = { fleet: manifest.fleet, key };
    const restored = isDeployment
      ? restoredDeployment(currentFormats.deployment.readAt(place, value), mark)
      : undefined;
    if (restored === undefined || restored.kind === "kept") {
      plan.puts.push({ key, value });
      continue;
    }
    // In the format in which it was found: whoever read it then reads it now.
    plan.puts.push({ key, value: currentFormats.deployment.write(restored.record, formatOf(value) ?? 1) });
    plan[restored.kind].push(restored.record.id);
  }
  return plan;
}

/** When the newest record was made: what is made after the restore is later than that, whatever the server's clock says. */
function newestMs(entries: readonly LedgerEntry[]): number {
  return entries.reduce((newest, { writtenAtMs }) => Math.max(newest, writtenAtMs), 0);
}

async function putFiles(objects: Objects, { manifest, pathOf }: OpenBackup): Promise<number> {
  const known = new Map((await objects.list()).map(({ name, digest }) => [name, digest]));
  for (const file of manifest.files)
    if (known.get(file.name) !== file.digest) await objects.put(file.name, createReadStream(pathOf(file)));
  return manifest.files.length;
}
