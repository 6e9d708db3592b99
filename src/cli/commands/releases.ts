import type { Command } from "commander";
import { type Cli, withExamples } from "../cli.js";
import { pushRelease } from "../push.js";
import { tableText } from "../table.js";
import { agoText, sizeText } from "../words.js";

export function addReleaseCommands(program: Command, cli: Cli): void {
  const group = program.command("releases").description("the releases that can be deployed");
  addPush(group, cli);
  addLs(group, cli);
  addRm(group, cli);
}

function addPush(group: Command, cli: Cli): void {
  const command = group
    .command("push <version> <source>")
    .description("store a release under a version, which never changes; nothing is rolled out yet")
    .addHelpText(
      "after",
      "\nSOURCE is a directory, a .tar.gz file, or git+URL#REF, with a rollcall.json at its root.",
    )
    .action(async (version: string, source: string, _options: object, command: Command) => {
      await cli.session(command, async (session) => {
        const reply = await pushRelease(session, cli, { version, source });
        const size = reply.sizeBytes === null ? "" : ` (${sizeText(reply.sizeBytes)})`;
        cli.show(
          command,
          reply,
          () =>
            `${version} is stored${size}. Roll it out by rollcall deploy --release ${version} --all --wait`,
        );
      });
    });
  withExamples(
    command,
    "rollcall releases push v2 ./build",
    "rollcall releases push v2 ./shop-v2.tar.gz",
    "rollcall releases push v2 git+https://git.example.org/shop.git#v2",
  );
}

function addLs(group: Command, cli: Cli): void {
  const command = group
    .command("ls")
    .description("list the releases and how many instances run each")
    .action(async (_options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.releases.list(), ({ items, asOf }) =>
          items.length === 0
            ? "There are no releases yet: rollcall releases push VERSION SOURCE"
            : tableText(
                items,
                [
                  { head: "RELEASE", cell: ({ version }) => version },
                  { head: "SOURCE", cell: ({ source }) => source },
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
  withExamples(command, "rollcall releases ls");
}

function addRm(group: Command, cli: Cli): void {
  const command = group
    .command("rm <version>")
    .description("remove a release that nothing needs")
    .action(async (version: string, _options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(
          command,
          await client.releases.remove({ version, by: cli.requester }),
          () => `${version} is removed.`,
        );
      });
    });
  withExamples(command, "rollcall releases rm v1");
}
