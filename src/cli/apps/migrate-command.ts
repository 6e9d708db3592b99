import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import type { Client } from "../../api/client-types.js";
import { takeBackup } from "../../backup/take.js";
import { RollcallError } from "../../base/errors.js";
import { appsMax } from "../../contracts/app-limits.js";
import { versionSchema } from "../../contracts/names.js";
import { type Cli, withExamples } from "../cli.js";
import { exitCodes } from "../exit-codes.js";
import { backupSummaryOf, ledgerSourceOf } from "../ledger-source.js";
import { productVersion } from "../product-version.js";
import { progressBar } from "../progress-bar.js";
import type { Session } from "../session.js";
import { usageError } from "../usage-error.js";
import { countText, namesText, plainText } from "../words.js";
import { legacyRows } from "./legacy-file.js";
import { LegacyTable, type MigratedApp, type Migration } from "./legacy-table.js";
import { allApps } from "./look-commands.js";

interface MigrateFlags {
  readonly from: string;
  readonly dryRun?: boolean;
  readonly appVersion?: string;
  readonly backup?: string;
}

/** Apps that are added at once; the coordinator commits what waits together. */
const addedAtOnce = 16;
/** Rows that are shown; with `--json` all are. */
const rowsShownMax = 20;
/** A bar that is drawn for each of 100,000 rows takes longer than reading them. */
const drawEveryRows = 1_000;

export function addMigrateCommand(group: Command, cli: Cli): void {
  const command = group
    .command("migrate")
    .description(
      "add the apps of an old table, in which each had one status; apps that are there are left alone",
    )
    .requiredOption("--from <file>", "the table: JSON, an array of rows, or a row a line")
    .option("--dry-run", "change nothing; say what would be added, and which rows say nothing")
    .option("--app-version <version>", "of rows that name none")
    .option("--backup <file>", "where the ledger is backed up to first (default: beside where you are)")
    .action(async (flags: MigrateFlags, command: Command) => {
      const migration = await readTable(cli, flags);
      await cli.session(command, async (session) => {
        const migrated = await migrate(cli, session, migration, flags);
        cli.show(command, migrated, (done) => migratedText(done, basename(flags.from)));
        if (migrated.left > 0) cli.endWith(exitCodes.interrupted);
        else if (migration.unmapped.length > 0) cli.endWith(exitCodes.unmapped);
      });
    });
  withExamples(
    command,
    "rollcall apps migrate --from legacy.ndjson --dry-run",
    "rollcall apps migrate --from legacy.json --app-version 1.0.0",
  );
  command.addHelpText(
    "after",
    `
A row: {"app": "mail", "status": "auto_enabled", "version": "1.0.0", "settings": {}, "source": "…"}; appId or id for app, and info.version, do as well.
Several rows of one app, as of its instances, have to agree. The rules are in docs/apps.md, "Migration".
Ends with 8 when rows could not be mapped; the others are migrated all the same.
Ctrl-C ends the adding; what is added stays, and the next run adds the rest.`,
  );
}

async function readTable(cli: Cli, { from, appVersion }: MigrateFlags): Promise<Migration> {
  if (appVersion !== undefined && !versionSchema.safeParse(appVersion).success)
    throw usageError(`--app-version ${appVersion} is no version.`);
  const table = new LegacyTable(appVersion ?? null);
  const bar = progressBar(cli.io, "reading");
  try {
    let read = { done: 0, all: 1 };
    const rows = legacyRows(resolve(cli.io.cwd, from), (done, all) => {
      read = { done, all };
    });
    for await (const row of rows) {
      if ("problem" in row) table.takeUnreadable(row.problem);
      else table.take(row.content);
      if (table.rows % drawEveryRows === 0) bar.show(read.done, read.all, `${table.rows} rows`);
    }
  } finally {
    bar.end();
  }
  return table.result();
}

/** What a migration came to. */
interface Migrated {
  readonly dryRun: boolean;
  readonly rows: number;
  readonly backup: ReturnType<typeof backupSummaryOf> | null;
  readonly added: readonly MigratedApp[];
  /** There already, and left as they are, whatever the table says of them. */
  readonly there: readonly { readonly app: string; readonly desiredStatus: string }[];
  readonly unmapped: Migration["unmapped"];
  /** Not added yet, since somebody has pressed Ctrl-C. */
  readonly left: number;
}

async function migrate(
  cli: Cli,
  session: Session,
  { rows, apps, unmapped }: Migration,
  { dryRun = false, from, backup }: MigrateFlags,
): Promise<Migrated> {
  const { client } = session;
  const known = new Map((await allApps(client, true)).items.map((view) => [view.app, view.desiredStatus]));
  const there = apps.flatMap(({ app }) => {
    const desiredStatus = known.get(app);
    return desiredStatus === undefined ? [] : [{ app, desiredStatus }];
  });
  const missing = apps.filter(({ app }) => !known.has(app));
  if (known.size + missing.length > appsMax)
    throw new RollcallError(
      "TOO_MANY_APPS",
      `The table has ${missing.length} apps that the fleet has not, and the fleet has ${known.size}: it can have ${appsMax}. Nothing was added; divide the table among fleets.`,
    );
  const migrated = { dryRun, rows, there, unmapped, left: 0 };
  if (dryRun || missing.length === 0) return { ...migrated, backup: null, added: missing };
  const halt = new AbortController();
  // The second Ctrl-C ends the process.
  const interruption = cli.io.onInterrupt(() => {
    halt.abort();
    interruption.unsubscribe();
  });
  try {
    const saved = await saveFirst(cli, session, backup);
    const done = await addAll(cli, client, missing, { from: basename(from), halt: halt.signal });
    return { ...migrated, backup: saved, ...done };
  } finally {
    interruption.unsubscribe();
  }
}

async function saveFirst(cli: Cli, session: Session, file: string | undefined) {
  const { clock, cwd } = cli.io;
  const { fleet } = session.target;
  const stamp = new Date(clock.nowMs()).toISOString().replaceAll(/[:.]/g, "-");
  const path = file === undefined ? join(cwd, `${fleet}-before-apps-${stamp}.tar.gz`) : resolve(cwd, file);
  const options = { clock, rollcall: productVersion(), withFiles: true };
  const bar = progressBar(cli.io, "first");
  bar.show(0, 1, "the ledger is backed up");
  try {
    return backupSummaryOf(await takeBackup(await ledgerSourceOf(session, fleet, cli), path, options));
  } finally {
    bar.end();
  }
}

/** @returns those that nobody else has added meanwhile, and how many have not had their turn */
async function addAll(
  cli: Cli,
  client: Client,
  apps: readonly MigratedApp[],
  { from, halt }: { readonly from: string; readonly halt: AbortSignal },
): Promise<Pick<Migrated, "added" | "left">> {
  const bar = progressBar(cli.io, "adding");
  const added = new Set<MigratedApp>();
  const waiting = apps.values();
  let done = 0;
  const worker = async () => {
    while (!halt.aborted) {
      const { value: app } = waiting.next();
      if (app === undefined) return;
      if (await addOne(cli, client, app, from)) added.add(app);
      bar.show(++done, apps.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: addedAtOnce }, worker));
  } finally {
    bar.end();
  }
  return { added: apps.filter((app) => added.has(app)), left: apps.length - done };
}

async function addOne(cli: Cli, client: Client, one: MigratedApp, from: string): Promise<boolean> {
  const { app, desiredStatus, legacyStatus, content, assumed } = one;
  const reason = `migrated from ${from}: ${legacyStatus}${assumed ? ", assumed to be unwanted" : ""}`;
  try {
    await client.apps.add({ app, ...content, desiredStatus, legacyStatus, by: cli.requester, reason });
    return true;
  } catch (thrown) {
    if (thrown instanceof RollcallError && thrown.code === "APP_EXISTS") return false;
    throw thrown;
  }
}

function migratedText(
  { dryRun, rows, backup, added, there, unmapped, left }: Migrated,
  from: string,
): string {
  const enabled = added.filter(({ desiredStatus }) => desiredStatus === "enabled").length;
  const split =
    added.length === 0 ? "" : `, ${enabled} to be enabled and ${added.length - enabled} to be disabled`;
  const known = there.map(({ app }) => app);
  const assumed = added.filter(({ assumed }) => assumed).map(({ app }) => app);
  const lead = dryRun ? "would be added" : added.length === 1 ? "was added" : "were added";
  const lines = [
    ...(backup === null ? [] : [`The ledger as it was before is in ${backup.file}.`]),
    `${countText(rows, "row")} in ${from}: ${countText(added.length, "app")} ${lead}${split}.`,
    ...(there.length === 0
      ? []
      : [`There already, and left as they are: ${namesText(known, rowsShownMax)}.`]),
    ...(left === 0
      ? []
      : [
          `Interrupted: ${countText(left, "app is", "apps are")} not added yet; the same command goes on with the rest.`,
        ]),
    ...(assumed.length === 0
      ? []
      : [
          `Assumed to be unwanted, since nobody is known to have enabled them: ${namesText(assumed, rowsShownMax)}.`,
        ]),
    ...(unmapped.length === 0 ? [] : [`${countText(unmapped.length, "row")} could not be mapped:`]),
    ...unmapped.slice(0, rowsShownMax).map(({ row, app, why }) => {
      const name = app === null ? "" : ` (${app})`;
      return plainText(`  row ${row}${name}: ${why}`);
    }),
  ];
  const more = unmapped.length - rowsShownMax;
  return [...lines, ...(more > 0 ? [`  and ${more} more: --json lists all`] : [])].join("\n");
}
