import type { Command } from "commander";
import { type Cli, withExamples } from "../cli.js";
import { tableText } from "../table.js";
import { agoText, plainText } from "../words.js";

export function addCoordinatorCommands(program: Command, cli: Cli): void {
  const group = program.command("coordinators").description("the coordinators of the fleet");
  const ls = group
    .command("ls")
    .description("list the coordinators that answer, and who leads")
    .action(async (_options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.coordinators.list(), ({ items, asOf }) =>
          tableText(
            items,
            [
              { head: "COORDINATOR", cell: ({ id }) => id },
              {
                head: "ROLE",
                cell: ({ role }) => role,
                paint: (text, { role }) => cli.paint(role === "leading" ? "green" : "dim", text),
              },
              { head: "EPOCH", right: true, cell: ({ epoch }) => String(epoch ?? "-") },
              { head: "SINCE", cell: ({ sinceMs }) => agoText(sinceMs, asOf) },
              { head: "VERSION", cell: ({ version }) => version },
              { head: "NODE", cell: ({ node }) => node },
              {
                head: "PROBLEM",
                cell: ({ problem }) => plainText(problem ?? "-"),
                paint: (text, { problem }) => cli.paint((problem ?? null) === null ? "dim" : "yellow", text),
              },
            ],
            cli.paint,
          ),
        );
      });
    });
  withExamples(ls, "rollcall coordinators ls");
}
