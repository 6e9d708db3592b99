import type { Command } from "commander";
import { type Cli, withExamples } from "../cli.js";
import { pushConfig } from "../push.js";
import { tableText } from "../table.js";
import { agoText, sizeText } from "../words.js";

export function addConfigCommands(program: Command, cli: Cli): void {
  const group = program.command("configs").description("the configurations that can be deployed");
  addPush(group, cli);
  addLs(group, cli);
  addRm(group, cli);
}

function addPush(group: Command, cli: Cli): void {
  const command = group
    .command("push <version> <file>")
    .description("store a configuration file under a version, which never changes; nothing is rolled out yet")
    .action(async (version: string, file: string, _options: object, command: Command) => {
      await cli.session(command, async (session) => {
        const reply = await pushConfig(session, cli, { version, file });
        cli.show(
          command,
          reply,
          ({ sizeBytes }) =>
            `${version} is stored (${sizeText(sizeBytes)}). Roll it out by rollcall deploy --config ${version} --all`,
        );
      });
    });
  withExamples(command, "rollcall configs push c7 ./shop.json");
}

function addLs(group: Command, cli: Cli): void {
  const command = group
    .command("ls")
    .description("list the configurations and how many instances run each")
    .action(async (_options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.configs.list(), ({ items, asOf }) =>
          items.length === 0
            ? "There are no configurations yet: rollcall configs push VERSION FILE"
            : tableText(
                items,
                [
                  { head: "CONFIG", cell: ({ version }) => version },
                  { head: "SIZE", right: true, cell: ({ sizeBytes }) => sizeText(sizeBytes) },
                  { head: "RUN BY", right: true, cell: ({ running }) => String(running) },
                  { head: "STABLE FOR", right: true, cell: ({ stable }) => String(stable) },
                  { head: "PUSHED", cell: ({ pushed }) => `${agoText(pushed.atMs, asOf)} by ${pushed.by}` },
                ],
                cli.paint,
              ),
        );
      });
    });
  withExamples(command, "rollcall configs ls");
}

function addRm(group: Command, cli: Cli): void {
  const command = group
    .command("rm <version>")
    .description("remove a configuration that nothing needs")
    .action(async (version: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(
          command,
          await client.configs.remove({ version, by: cli.requester }),
          () => `${version} is removed.`,
        );
      });
    });
  withExamples(command, "rollcall configs rm c6");
}
