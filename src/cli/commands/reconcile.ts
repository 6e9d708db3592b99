import type { Command } from "commander";
import { durationText } from "../../contracts/duration.js";
import type {
  ReconciledItem,
  ReconciliationCounts,
  ReconciliationReport,
} from "../../contracts/reconciliation.js";
import { type Cli, withExamples } from "../cli.js";
import { exitCodes } from "../exit-codes.js";
import type { Paint, Style } from "../paint.js";
import type { Session } from "../session.js";
import { countText, plainText } from "../words.js";

interface ReconcileOptions {
  readonly dryRun?: boolean;
  readonly reason?: string;
}

const askAgainMs = 500;

/** `reconcile`: what should be against what is, now. */
export function addReconcileCommand(program: Command, cli: Cli): void {
  const command = program
    .command("reconcile")
    .description(
      "compare what should be with what is on every host, in the ledger and in the store, and put right what may be",
    )
    .option("--dry-run", "change nothing; say what would be done, and what would be left and why")
    .option("--reason <text>", "kept in the audit log")
    .action(async ({ dryRun = false, reason }: ReconcileOptions, command: Command) => {
      await cli.session(command, async (session) => {
        const report = await untilOver(cli, session, dryRun, reason ?? null);
        cli.show(command, report, (over) => reportText(over, cli.paint));
        if (report.counts.failed > 0) cli.endWith(exitCodes.failedAndNotRolledBack);
      });
    });
  withExamples(command, "rollcall reconcile --dry-run", 'rollcall reconcile --reason "after the power cut"');
  command.addHelpText(
    "after",
    "\nThe leader does it, by itself every hour too; rollcall status has the result of the last one, the audit log what was done.\nEnds with 5 when something could not be put right.",
  );
}

/** The leader answers soon that it is under way; the same key asks about the same run. */
async function untilOver(
  { io, requester: by }: Cli,
  { client }: Session,
  dryRun: boolean,
  reason: string | null,
): Promise<ReconciliationReport> {
  const request = { dryRun, by, reason, requestKey: io.random.id() };
  let report = await client.reconciliations.run(request);
  while (report.state === "underWay") {
    await new Promise<void>((resolve) => io.clock.setTimer(askAgainMs, resolve));
    report = await client.reconciliations.run({ ...request, epoch: report.epoch });
  }
  return report;
}

const words: Readonly<Record<ReconciledItem["outcome"], readonly [word: string, style: Style]>> = {
  planned: ["would do", "cyan"],
  done: ["done", "green"],
  gone: ["gone", "green"],
  failed: ["failed", "red"],
  left: ["left", "dim"],
};

function reportText(report: ReconciliationReport, paint: Paint): string {
  const { items, more, counts, dryRun, tookMs } = report;
  const lines = items.map(({ outcome, what, why }) => {
    const [word, style] = words[outcome];
    return `${paint(style, word.padEnd(8))}  ${plainText(what)}: ${plainText(why)}`;
  });
  if (more > 0) lines.push(`and ${more} more`);
  const end = dryRun ? "Nothing was changed." : `It took ${durationText(tookMs)}.`;
  const found = counts.found === 0 ? "Everything is as it should be" : countsText(counts);
  return [...lines, `${found}. ${end}`].join("\n");
}

/** Also of the last one, in the status. */
export function countsText({ found, planned, done, gone, left, failed }: ReconciliationCounts): string {
  const parts = [
    planned > 0 ? `${planned} to do` : "",
    done + gone > 0 ? `${done + gone} done` : "",
    left > 0 ? `${left} left` : "",
    failed > 0 ? `${failed} failed` : "",
  ].filter((part) => part !== "");
  const split = parts.length === 0 ? "" : `: ${parts.join(", ")}`;
  return `${countText(found, "thing")} found${split}`;
}
