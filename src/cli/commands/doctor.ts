import type { Command } from "commander";
import { type Cli, withExamples } from "../cli.js";
import { type Check, diagnose } from "../diagnosis.js";
import { exitCodes } from "../exit-codes.js";
import { plainText } from "../words.js";

export function addDoctorCommand(program: Command, cli: Cli): void {
  const command = program
    .command("doctor")
    .description("check everything from NATS to the instances, and say what to do about what is wrong")
    .action(async (_options: object, command: Command) => {
      const checks = await diagnose(cli.globals(command), cli.io);
      cli.show(command, { ok: checks.every(({ state }) => state !== "bad"), checks }, () =>
        checksText(checks, cli),
      );
      cli.endWith(exitCodeOf(checks));
    });
  withExamples(command, "rollcall doctor", "rollcall doctor --json");
  command.addHelpText(
    "after",
    "\nEnds with 0 when nothing is bad, 7 when no control plane can be reached, else 1.",
  );
}

const glyphs = {
  good: ["✓", "green"],
  odd: ["!", "yellow"],
  bad: ["✗", "red"],
  skipped: ["-", "dim"],
} as const;

function checksText(checks: readonly Check[], { paint }: Cli): string {
  return checks
    .flatMap(({ name, state, found, next }) => {
      const [glyph, style] = glyphs[state];
      const line = `${paint(style, glyph)} ${name.padEnd(14)} ${plainText(found)}`;
      return next === null ? [line] : [line, `  ${" ".repeat(14)} ${paint("bold", "→")} ${plainText(next)}`];
    })
    .join("\n");
}

/** What everything else needs comes first, and decides. */
function exitCodeOf(checks: readonly Check[]) {
  const bad = checks.find(({ state }) => state === "bad");
  if (bad === undefined) return exitCodes.done;
  return bad.vital ? exitCodes.noControlPlane : exitCodes.internal;
}
