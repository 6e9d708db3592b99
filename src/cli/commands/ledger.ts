import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { checkName } from "../../api/request.js";
import type { Finding } from "../../backup/findings.js";
import { type Restored, restoreBackup } from "../../backup/restore.js";
import { type TakenBackup, takeBackup } from "../../backup/take.js";
import { type OpenBackup, type Verified, verifyLedger, withBackup } from "../../backup/verify.js";
import { createLog } from "../../base-node/log.js";
import { refusal } from "../../contracts/errors.js";
import { natsLedgerParts } from "../../ledger/nats-ledger.js";
import { openNatsObjects } from "../../ledger/nats-objects.js";
import { type Cli, withExamples } from "../cli.js";
import { exitCodes } from "../exit-codes.js";
import { logLevelOf } from "../global-options.js";
import { backupSummaryOf, ledgerSourceOf } from "../ledger-source.js";
import { productVersion } from "../product-version.js";
import { clusterDefaults } from "../run/cluster.js";
import { withFolderNats } from "../run/folder-nats.js";
import { type Session, withSession } from "../session.js";
import { findTarget } from "../target.js";
import { countText, plainText, sizeText } from "../words.js";

/** Findings that are shown; with `--json` all are. */
const findingsShownMax = 20;

export function addLedgerCommands(program: Command, cli: Cli): void {
  const group = program
    .command("ledger")
    .description(
      "back the fleet's record up, restore it, and check it; needs the coordinator's rights at NATS",
    );
  addBackup(group, cli);
  addRestore(group, cli);
  addVerify(group, cli);
}

function addBackup(group: Command, cli: Cli): void {
  const command = group
    .command("backup <file>")
    .description("write everything that is needed to get the fleet back into one file, while the fleet lives")
    .option("--without-files", "leave the files of releases and configurations out")
    .action(async (file: string, { withoutFiles }: { withoutFiles?: boolean }, command: Command) => {
      await cli.session(command, async (session) => {
        const path = resolve(cli.io.cwd, file);
        const taken = await takeBackup(await ledgerSourceOf(session, session.target.fleet, cli), path, {
          clock: cli.io.clock,
          rollcall: productVersion(),
          withFiles: withoutFiles !== true,
        });
        cli.show(command, { ...backupSummaryOf(taken), missing: taken.missing }, () => takenText(taken));
      });
    });
  withExamples(
    command,
    "rollcall ledger backup /var/backups/shop.tar.gz",
    "rollcall ledger backup ./records-only.tar.gz --without-files",
  );
}

interface RestoreFlags {
  readonly force?: boolean;
  readonly as?: string;
}

function addRestore(group: Command, cli: Cli): void {
  const command = group
    .command("restore <file>")
    .description(
      "put a backup in the place of the fleet's record, while no coordinator runs; instances keep what they run",
    )
    .option("--force", "also over a ledger that holds records; they are backed up beside the file first")
    .option("--as <fleet>", "restore the backup of another fleet as this one")
    .action(async (file: string, flags: RestoreFlags, command: Command) => {
      const path = resolve(cli.io.cwd, file);
      const into = flags.as === undefined ? undefined : checkName("name", "The fleet", flags.as);
      await withBackup(path, async (backup) => {
        const { fleet } = await findTarget(cli.globals(command), cli.io);
        if (into === undefined && backup.manifest.fleet !== fleet)
          throw refusal("BACKUP_OF_ANOTHER_FLEET", { file: path, found: backup.manifest.fleet, fleet });
        const options = { path, backup, fleet: into ?? fleet, force: flags.force === true };
        const restored = await whileNobodyRuns(cli, command, (session) => restore(session, cli, options));
        cli.show(command, { ...restored, findings: backup.findings }, () => restoredText(restored, backup));
      });
    });
  withExamples(
    command,
    "rollcall ledger restore /var/backups/shop.tar.gz --fleet shop",
    "rollcall ledger restore ./shop.tar.gz --as shop-copy",
  );
}

/** Where nothing says where NATS is, its server may have ended with the `rollcall up` of this folder: it is run for so long. */
async function whileNobodyRuns<T>(
  cli: Cli,
  command: Command,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const globals = cli.globals(command);
  const { source, dataDir } = await findTarget(globals, cli.io);
  if (source !== "nowhere") return await cli.session(command, work);
  const log = createLog({ level: logLevelOf(globals, cli.io, "error"), name: "rollcall" });
  return await withFolderNats(dataDir, cli.io, {
    log,
    work: ({ url, user, password }) => withSession({ ...globals, nats: url, user, password }, cli.io, work),
  });
}

interface Restoring {
  readonly path: string;
  readonly backup: OpenBackup;
  readonly fleet: string;
  readonly force: boolean;
}

async function restore(
  { bus, log, target }: Session,
  cli: Cli,
  { path, backup, fleet, force }: Restoring,
): Promise<Restored> {
  const { clock, random } = cli.io;
  const { replicas } = clusterDefaults(bus, target.url ?? "");
  const parts = await natsLedgerParts({ fleet, bus, clock, random, log, replicas });
  return await restoreBackup(parts, openNatsObjects({ fleet, bus, clock, log }), backup, {
    file: path,
    by: cli.requester,
    holder: `restore-${random.id()}`,
    force,
    saveFirst: async () => {
      const stamp = new Date(clock.nowMs()).toISOString().replaceAll(/[:.]/g, "-");
      const beside = join(dirname(path), `${fleet}-before-restore-${stamp}.tar.gz`);
      const options = { clock, rollcall: productVersion(), withFiles: true };
      return (await takeBackup(await ledgerSourceOf({ bus, log }, fleet, cli), beside, options)).file;
    },
  });
}

function addVerify(group: Command, cli: Cli): void {
  const command = group
    .command("verify [file]")
    .description(
      "check a backup, or without a file the living ledger: every record, every reference, the audit log",
    )
    .option("--files", "of the living ledger also read every file of releases and configurations whole")
    .action(async (file: string | undefined, { files }: { files?: boolean }, command: Command) => {
      const what = file === undefined ? "the ledger" : basename(file);
      const verified =
        file === undefined
          ? await cli.session(command, async (session) =>
              verifyLedger(await ledgerSourceOf(session, session.target.fleet, cli), {
                clock: cli.io.clock,
                readFiles: files === true,
              }),
            )
          : await withBackup(resolve(cli.io.cwd, file), async (backup) => verifiedOf(backup));
      const ok = verified.findings.length === 0;
      cli.show(command, { ok, ...verified }, () => verifiedText(verified, what));
      cli.endWith(ok ? exitCodes.done : exitCodes.refused);
    });
  withExamples(command, "rollcall ledger verify", "rollcall ledger verify /var/backups/shop.tar.gz");
  command.addHelpText("after", "\nEnds with 0 when nothing is wrong, with 3 when something is.");
}

function takenText({ file, sizeBytes, sha256, manifest, missing }: TakenBackup): string {
  const { counts, fleet, revision } = manifest;
  const parts = [
    countText(counts.instances, "instance"),
    countText(counts.deployments, "deployment"),
    countText(counts.releases, "release"),
    countText(counts.configs, "configuration"),
    countText(counts.events, "event"),
    manifest.withFiles ? countText(counts.files, "file") : "no files",
  ];
  return [
    `${file} holds fleet ${fleet} as of revision ${revision}: ${parts.join(", ")} (${sizeText(sizeBytes)}).`,
    `sha256 ${sha256}`,
    ...missing.map((one) => `left out, since it cannot be read: ${plainText(one)}`),
  ].join("\n");
}

function restoredText(
  { records, files, paused, ended, saved, ledgerId }: Restored,
  { manifest, findings }: OpenBackup,
): string {
  const taken = new Date(manifest.takenAtMs).toISOString();
  return [
    `Restored ${countText(records, "record")} and ${countText(files, "file")} as of ${taken}; the ledger is ${ledgerId} now.`,
    ...(saved === null ? [] : [`What was there before is in ${saved}.`]),
    ...(paused.length === 0 ? [] : [`Paused, to be resumed or aborted by a person: ${paused.join(", ")}.`]),
    ...(ended.length === 0
      ? []
      : [`Ended, since nothing is told because of a restore: ${ended.join(", ")}.`]),
    ...(manifest.withFiles
      ? []
      : ["The backup holds no files: rollcall ledger verify says which are missing."]),
    ...findingLines(findings),
    "Start the coordinators now. Every instance keeps what it runs; rollcall status says what differs.",
  ].join("\n");
}

function verifiedOf({ manifest, entries, events, findings }: OpenBackup): Verified {
  const { ledgerId, revision, withFiles, files } = manifest;
  return {
    ledgerId,
    revision,
    records: entries.length,
    events: events.length,
    files: withFiles ? files.length : null,
    findings,
  };
}

function verifiedText({ records, events, files, revision, findings }: Verified, what: string): string {
  const looked = [
    countText(records, "record"),
    countText(events, "event"),
    files === null ? "no files" : countText(files, "file"),
  ].join(", ");
  const found =
    findings.length === 0
      ? "nothing is wrong"
      : `${countText(findings.length, "thing is", "things are")} wrong`;
  return [`${what}, as of revision ${revision}: ${looked}; ${found}.`, ...findingLines(findings)].join("\n");
}

function findingLines(findings: readonly Finding[]): string[] {
  const shown = findings
    .slice(0, findingsShownMax)
    .map(({ where, problem }) => `  ${plainText(where)}: ${plainText(problem)}`);
  const others = findings.length - shown.length;
  return others > 0 ? [...shown, `  and ${others} more: --json lists all`] : shown;
}
