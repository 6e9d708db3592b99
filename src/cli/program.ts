import { Command, CommanderError } from "commander";
import { asRefusal } from "../api/problem-answer.js";
import type { RollcallError } from "../base/errors.js";
import { Cli } from "./cli.js";
import type { CliIo } from "./cli-io.js";
import { addAppCommands } from "./commands/apps.js";
import { addConfigCommands } from "./commands/configs.js";
import { addCoordinatorCommands } from "./commands/coordinators.js";
import { addDeploymentCommands } from "./commands/deployments.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addEventsCommand } from "./commands/events.js";
import { addInstanceCommands } from "./commands/instances.js";
import { addLedgerCommands } from "./commands/ledger.js";
import { addLongRunningCommands, type Runners } from "./commands/long-running.js";
import { addReconcileCommand } from "./commands/reconcile.js";
import { addReleaseCommands } from "./commands/releases.js";
import { addSimulateCommand } from "./commands/simulate.js";
import { addStatusCommand } from "./commands/status.js";
import { type ExitCode, exitCodeOf, exitCodes } from "./exit-codes.js";
import { addGlobalOptions } from "./global-options.js";
import { productVersion } from "./product-version.js";
import { usageError } from "./usage-error.js";

const exitCodesHelp = `
Exit codes:
  0 done   1 internal error   2 wrong usage   3 refused   4 failed and rolled back   5 failed and not rolled back
  6 timed out waiting   7 no control plane   130 interrupted by Ctrl-C
  apps migrate:       8 rows could not be mapped
  simulate --chaos:   65 incorrect   66 did not come to rest   67 crashed   68 not the same twice`;

/**
 * Carries a command line out.
 *
 * @param args without the program's own name
 * @param runners what the commands that stay (`up`, `coordinator`, `agent`) do
 * @returns what the process should end with; everything is said already
 */
export async function runCli(
  args: readonly string[],
  io: CliIo,
  runners: Partial<Runners> = {},
): Promise<ExitCode> {
  const cli = new Cli(io);
  // Known before the line is parsed: what cannot be parsed is answered in JSON too.
  const json = args.includes("--json");
  const program = createProgram(cli, runners, json);
  try {
    await program.parseAsync(args, { from: "user" });
    return cli.exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return exitCodes.done;
    return sayFailure(thrown instanceof CommanderError ? usageErrorOf(thrown) : asRefusal(thrown), io, json);
  }
}

function createProgram(cli: Cli, runners: Partial<Runners>, json: boolean): Command {
  const { stdout, stderr } = cli.io;
  const program = new Command("rollcall")
    .description(
      "Keeps a fleet in the state that you asked for: rolling deployments that go back when too many fail.",
    )
    .version(productVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", exitCodesHelp)
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      // The help after a missing command; the sentence about it comes from here, once.
      writeErr: (text) => void (json || stderr.write(text)),
      outputError: () => undefined,
    })
    .exitOverride();
  addGlobalOptions(program);
  program.commandsGroup("See:");
  addStatusCommand(program, cli);
  addEventsCommand(program, cli);
  addDoctorCommand(program, cli);
  addReconcileCommand(program, cli);
  program.commandsGroup("Roll out:");
  addDeploymentCommands(program, cli);
  addSimulateCommand(program, cli, runners);
  addReleaseCommands(program, cli);
  addConfigCommands(program, cli);
  addInstanceCommands(program, cli);
  addAppCommands(program, cli);
  program.commandsGroup("Run:");
  addLongRunningCommands(program, cli, runners);
  addCoordinatorCommands(program, cli);
  addLedgerCommands(program, cli);
  return program;
}

function usageErrorOf({ code, message }: CommanderError): RollcallError {
  if (code === "commander.help") return usageError("A command is missing: rollcall --help lists them.");
  const problem = message.replace(/^error: /, "").replace(/\n\(Did you mean (.+)\?\)$/, ". Did you mean $1?");
  return usageError(`${/[.?!]$/.test(problem) ? problem : `${problem}.`} See --help.`);
}

/** With `--json` the failure is the answer, on the standard output; else a sentence on the standard error. */
function sayFailure(problem: RollcallError, io: CliIo, json: boolean): ExitCode {
  const { code, message, retry } = problem;
  if (json) io.stdout.write(`${JSON.stringify({ error: { code, message, retry } })}\n`);
  else io.stderr.write(`rollcall: ${message}\n`);
  if (code === "INTERNAL" && io.env.ROLLCALL_LOG_LEVEL === "debug") io.stderr.write(`${problem.stack}\n`);
  return exitCodeOf(problem);
}
