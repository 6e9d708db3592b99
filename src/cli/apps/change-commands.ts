import type { Command } from "commander";
import type { AppView } from "../../contracts/app-api.js";
import { type Cli, withExamples } from "../cli.js";
import { usageError } from "../usage-error.js";
import { collect, parseCount } from "../values.js";
import { settingsIn } from "./settings-option.js";

/** What changes what is asked of an app. */

interface ChangeFlags {
  readonly reason?: string;
  readonly expectedGeneration?: number;
}

export function addChangeCommands(group: Command, cli: Cli): void {
  addAdd(group, cli);
  addAdopt(group, cli);
  addAct(group, cli, "enable", "have every instance enable an app");
  addAct(group, cli, "disable", "have every instance disable an app");
  addAct(
    group,
    cli,
    "uninstall",
    "have every instance remove an app; its record goes when all of them have confirmed that",
  );
  addSet(group, cli);
}

function withChangeOptions(command: Command): Command {
  return command
    .option("--reason <text>", "kept in the audit log")
    .option("--expected-generation <n>", "refuse if somebody has changed the app since that one", parseCount);
}

function markOf(cli: Cli, { reason, expectedGeneration }: ChangeFlags) {
  return {
    by: cli.requester,
    reason: reason ?? null,
    ...(expectedGeneration !== undefined && { expectedGeneration }),
  };
}

interface AddFlags extends ChangeFlags {
  readonly source?: string;
  readonly settings?: readonly string[];
  readonly enable?: boolean;
}

const settingsHelp = "JSON, @file, or k=v, which may be given several times";

function addAdd(group: Command, cli: Cli): void {
  const command = withChangeOptions(
    group
      .command("add <app> <version>")
      .description("add an app, disabled unless asked otherwise; one that was uninstalled comes back")
      .option("--enable", "have every instance enable it")
      .option("--source <where>", "where its files are, as the instances' engine understands it")
      .option("--settings <settings>", settingsHelp, collect(String)),
  ).action(async (app: string, version: string, flags: AddFlags, command: Command) => {
    const settings = await settingsIn(flags.settings ?? [], cli.io.cwd);
    await cli.session(command, async ({ client }) => {
      const reply = await client.apps.add({
        app,
        version,
        source: flags.source ?? null,
        settings,
        desiredStatus: flags.enable === true ? "enabled" : "disabled",
        ...markOf(cli, flags),
      });
      cli.show(command, reply, askedText);
    });
  });
  withExamples(
    command,
    "rollcall apps add mail 1.0.0 --enable",
    "rollcall apps add mail 1.0.0 --source ./apps/mail --settings greeting=hello --settings retries=3",
  );
}

function addAdopt(group: Command, cli: Cli): void {
  const command = group
    .command("adopt <app>")
    .description("keep an app that instances have and nobody asked for, as it was before a restore")
    .option("--instance <id>", "as this instance has it, when they differ")
    .option("--reason <text>", "kept in the audit log")
    .action(async (app: string, flags: ChangeFlags & { instance?: string }, command: Command) => {
      await cli.session(command, async ({ client }) => {
        const request = { app, instance: flags.instance ?? null, ...markOf(cli, flags) };
        cli.show(command, await client.apps.adopt(request), askedText);
      });
    });
  withExamples(
    command,
    "rollcall apps adopt mail",
    'rollcall apps adopt mail --instance web-1 --reason "added after the backup was taken"',
  );
  command.addHelpText(
    "after",
    "\nVersion, source, settings and whether it is enabled are taken from the instance, and hold for all.",
  );
}

function addAct(
  group: Command,
  cli: Cli,
  verb: "enable" | "disable" | "uninstall",
  description: string,
): void {
  const command = withChangeOptions(group.command(`${verb} <app>`).description(description)).action(
    async (app: string, flags: ChangeFlags, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.apps[verb]({ app, ...markOf(cli, flags) }), askedText);
      });
    },
  );
  withExamples(
    command,
    `rollcall apps ${verb} mail`,
    `rollcall apps ${verb} mail --expected-generation 3 --reason "ticket 12"`,
  );
}

interface SetFlags extends ChangeFlags {
  readonly appVersion?: string;
  /** `false` by `--no-source`. */
  readonly source?: string | false;
  readonly settings?: readonly string[];
}

function addSet(group: Command, cli: Cli): void {
  const command = withChangeOptions(
    group
      .command("set <app>")
      .description("change version, source or settings of an app; what is left out stays")
      .option("--app-version <version>", "the version that is to run")
      .option("--source <where>", "where its files are, as the instances' engine understands it")
      .option("--no-source", "leave that to the engine")
      .option("--settings <settings>", `all settings from now on: ${settingsHelp}`, collect(String)),
  ).action(async (app: string, flags: SetFlags, command: Command) => {
    if (flags.appVersion === undefined && flags.source === undefined && flags.settings === undefined)
      throw usageError("Say what is to be another: --app-version, --source, --no-source or --settings.");
    const settings = flags.settings && (await settingsIn(flags.settings, cli.io.cwd));
    const source = flags.source === false ? null : flags.source;
    await cli.session(command, async ({ client }) => {
      const reply = await client.apps.set({
        app,
        ...(flags.appVersion !== undefined && { version: flags.appVersion }),
        ...(source !== undefined && { source }),
        ...(settings !== undefined && { settings }),
        ...markOf(cli, flags),
      });
      cli.show(command, reply, askedText);
    });
  });
  withExamples(
    command,
    "rollcall apps set mail --app-version 1.1.0",
    "rollcall apps set mail --settings @mail.json --expected-generation 4",
  );
}

/** What is asked now, and where it is followed. */
function askedText({ app, desiredStatus, content, generation, counts }: AppView): string {
  const heard = counts.total - counts.unheard;
  const told = heard === 0 ? "no instance is heard" : `${counts.inSync} of ${heard} heard have it so`;
  return `${app} ${content.version} is to be ${desiredStatus} (generation ${generation}): ${told}. Follow it by rollcall apps status ${app}`;
}
