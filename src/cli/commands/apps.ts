import type { Command } from "commander";
import { reconciledText } from "../apps/apps-text.js";
import { addChangeCommands } from "../apps/change-commands.js";
import { addLookCommands } from "../apps/look-commands.js";
import { addMigrateCommand } from "../apps/migrate-command.js";
import { type Cli, withExamples } from "../cli.js";
import { exitCodes } from "../exit-codes.js";
import { usageError } from "../usage-error.js";

export function addAppCommands(program: Command, cli: Cli): void {
  const group = program
    .command("apps")
    .description("apps inside instances: what administrators want, and what each instance has");
  addLookCommands(group, cli);
  addChangeCommands(group, cli);
  addReconcile(group, cli);
  addForget(group, cli);
  addMigrateCommand(group, cli);
}

interface ReconcileFlags {
  readonly app?: string;
  readonly instance?: string;
  readonly allMismatched?: boolean;
  readonly reason?: string;
}

function addReconcile(group: Command, cli: Cli): void {
  const command = group
    .command("reconcile")
    .description("have instances try again now what is not as asked, also what failed for good")
    .option("--app <app>", "only this app")
    .option("--instance <id>", "only this instance")
    .option("--all-mismatched", "every app on every instance that is not as asked")
    .option("--reason <text>", "kept in the audit log")
    .action(async ({ app, instance, allMismatched, reason }: ReconcileFlags, command: Command) => {
      if (app === undefined && instance === undefined && allMismatched !== true)
        throw usageError("Say what: --app APP, --instance ID, or --all-mismatched.");
      await cli.session(command, async ({ client }) => {
        const request = { app: app ?? null, instance: instance ?? null };
        const reply = await client.apps.reconcile({ ...request, by: cli.requester, reason: reason ?? null });
        cli.show(command, reply, reconciledText);
        if (reply.unreachable.length > 0) cli.endWith(exitCodes.failedAndNotRolledBack);
      });
    });
  withExamples(
    command,
    "rollcall apps reconcile --app mail",
    "rollcall apps reconcile --app mail --instance web-1",
    'rollcall apps reconcile --all-mismatched --reason "the licence server is back"',
  );
  command.addHelpText(
    "after",
    "\nWhat was told to nobody since a restore is told again, unless --instance narrows it.\nEnds with 5 when an instance did not answer.",
  );
}

function addForget(group: Command, cli: Cli): void {
  const command = group
    .command("forget <instance>")
    .description(
      "take an instance with apps out that left for good; one that lives comes back by its next report",
    )
    .option("--reason <text>", "kept in the audit log")
    .action(async (instance: string, { reason }: { reason?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const reply = await client.apps.forget({ instance, by: cli.requester, reason: reason ?? null });
        cli.show(command, reply, () => `${instance} is forgotten; nothing waits for it.`);
      });
    });
  withExamples(command, "rollcall apps forget web-7");
}
