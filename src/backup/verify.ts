import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { z } from "zod";
import { messageOf } from "../base/errors.js";
import type { Clock, LedgerEntry } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";
import type { AuditEvent } from "../ledger/event-chain.js";
import { openBackup } from "./archive.js";
import { type Finding, findingsIn } from "./findings.js";
import type { BackupManifest } from "./manifest.js";
import { backupEventSchema, backupRecordSchema } from "./manifest.js";
import { eventsUpTo, snapshotOf } from "./snapshot.js";
import type { LedgerSource } from "./source.js";
import { isDamage } from "./take.js";

/** A backup whose checksums are right, unpacked. */
export interface OpenBackup {
  readonly manifest: BackupManifest;
  readonly entries: readonly LedgerEntry[];
  readonly events: readonly AuditEvent[];
  /** What is wrong with what it holds. */
  readonly findings: readonly Finding[];
  /** The path of a file of releases or configurations in it. */
  pathOf(file: BackupManifest["files"][number]): string;
}

/**
 * Unpacks a backup, checks its checksums and looks through it, for as long as `work` takes.
 *
 * @throws RollcallError `BAD_BACKUP`; what `work` throws
 */
export async function withBackup<T>(file: string, work: (backup: OpenBackup) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "rollcall-backup-"));
  try {
    const manifest = await openBackup(file, folder);
    const entries = await linesOf(file, join(folder, manifest.records.file), backupRecordSchema);
    const events = await linesOf(file, join(folder, manifest.events.file), backupEventSchema);
    const { fleet, ledgerId, head, withFiles } = manifest;
    const files = withFiles ? manifest.files : undefined;
    const findings = findingsIn({ fleet, ledgerId, head, entries, events, files });
    return await work({ manifest, entries, events, findings, pathOf: ({ part }) => join(folder, part.file) });
  } finally {
    // What failed in the middle of unpacking may still be writing.
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

/** What was looked through, and what is wrong with it. */
export interface Verified {
  readonly ledgerId: string;
  readonly revision: number;
  readonly records: number;
  readonly events: number;
  /** `null`: they were not looked at. */
  readonly files: number | null;
  readonly findings: readonly Finding[];
}

/**
 * Looks through a living ledger, exactly as of one revision.
 *
 * @param readFiles every file is read whole, which finds what was damaged in the store
 * @throws RollcallError `NO_LEDGER`, `LEDGER_HALF_RESTORED`, `LEDGER_CORRUPT` for what is not JSON, `LEDGER_UNAVAILABLE`
 */
export async function verifyLedger(
  source: LedgerSource,
  { clock, readFiles }: { readonly clock: Clock; readonly readFiles: boolean },
): Promise<Verified> {
  const first = await look(source, clock);
  // What went while it was looked through is not missing: a finding is what is found twice.
  const again = first.findings.length === 0 ? first : await look(source, clock);
  const found = new Set(first.findings.map(({ where, problem }) => `${where} ${problem}`));
  const findings = again.findings.filter(({ where, problem }) => found.has(`${where} ${problem}`));
  const damaged = readFiles ? await damagedFiles(source) : [];
  return { ...again, findings: [...findings, ...damaged] };
}

async function look(source: LedgerSource, clock: Clock): Promise<Verified> {
  const snapshot = await snapshotOf(source);
  // A file is there before the release that names it.
  const files = await source.objects.list();
  const events = await eventsUpTo(source, snapshot, clock);
  const { ledgerId, revision, entries } = snapshot;
  const findings = findingsIn({ ...snapshot, fleet: source.fleet, events, files });
  return {
    ledgerId,
    revision,
    records: entries.length,
    events: events.length,
    files: files.length,
    findings,
  };
}

async function damagedFiles({ objects }: LedgerSource): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name } of await objects.list()) {
    try {
      for await (const _ of objects.get(name));
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown;
      findings.push({ kind: "dangling", where: `file ${name}`, problem: messageOf(thrown) });
    }
  }
  return findings;
}

async function linesOf<T extends z.ZodType>(file: string, path: string, schema: T): Promise<z.infer<T>[]> {
  const found: z.infer<T>[] = [];
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) {
    try {
      found.push(schema.parse(JSON.parse(line)));
    } catch (thrown) {
      const problem = `line ${found.length + 1} of its records is not understood (${messageOf(thrown)})`;
      throw refusal("BAD_BACKUP", { file, problem }, thrown);
    }
  }
  return found;
}
