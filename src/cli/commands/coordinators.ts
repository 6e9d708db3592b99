import type { Command } from "commander";
import type { ReplyOf } from "../../contracts/api.js";
import { type CoordinatorView, doesNotAnswer } from "../../contracts/views.js";
import { type Cli, withExamples } from "../cli.js";
import type { Paint } from "../paint.js";
import { tableText } from "../table.js";
import { agoText } from "../words.js";

export function addCoordinatorCommands(program: Command, cli: Cli): void {
  const group = program.command("coordinators").description("the coordinators of the fleet");
  const ls = group
    .command("ls")
    .description("list the coordinators: who leads and who follows, since when, and how each is doing")
    .action(async (_options: object, command: Command) => {
      await cli.session(command, async ({ client }) => {
        cli.show(command, await client.coordinators.list(), (list) => coordinatorsTable(list, cli.paint));
      });
    });
  withExamples(ls, "rollcall coordinators ls", "rollcall coordinators ls --json");
}

function coordinatorsTable({ items, asOf }: ReplyOf<"coordinators.list">, paint: Paint): string {
  return tableText(
    items,
    [
      { head: "COORDINATOR", cell: ({ id }) => id },
      {
        head: "ROLE",
        cell: ({ role }) => role,
        paint: (text, { role }) => paint(role === "leading" ? "green" : "dim", text),
      },
      { head: "SINCE", cell: ({ sinceMs }) => agoText(sinceMs, asOf) },
      { head: "EPOCH", right: true, cell: ({ epoch }) => String(epoch ?? "-") },
      { head: "RENEWED", cell: ({ renewedAtMs }) => agoText(renewedAtMs, asOf) },
      { head: "VERSION", cell: ({ version }) => version },
      { head: "NODE", cell: ({ node }) => node },
      {
        head: "DOING",
        cell: doingOf,
        paint: (text, coordinator) => paint(isInTrouble(coordinator) ? "yellow" : "dim", text),
      },
    ],
    paint,
  );
}

/** Coordinators of earlier versions do not say how they are doing. */
function doingOf({ doing, problem }: CoordinatorView): string {
  return problem ?? (doing === "" ? "-" : doing);
}

function isInTrouble({ doing, problem }: CoordinatorView): boolean {
  return problem !== null || doing.startsWith(doesNotAnswer);
}
