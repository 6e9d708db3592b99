import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { checkName } from "../../api/request.js";
import type { LogLevel } from "../../base-node/log.js";
import { type Labels, labelsSchema } from "../../contracts/instance.js";
import type { ChaosPlayer } from "../../simulator/chaos/chaos.js";
import type { Player } from "../../simulator/rehearsal.js";
import { type Cli, withExamples } from "../cli.js";
import type { CliIo } from "../cli-io.js";
import type { ExitCode } from "../exit-codes.js";
import { logLevelOf } from "../global-options.js";
import { findTarget, type Target } from "../target.js";
import { usageError } from "../usage-error.js";
import { collect, parseDuration } from "../values.js";

/** What every command that stays is told. */
export interface LongRunning {
  readonly target: Target;
  readonly logLevel: LogLevel;
  readonly json: boolean;
}

export interface UpOptions extends LongRunning {
  /** Between two reconciliations; `undefined`: an hour. */
  readonly reconcileEveryMs: number | undefined;
  /** Between two looks at all apps, and how long one is not as asked before an alert; `undefined`: 30 s, 10 minutes. */
  readonly apps: { readonly everyMs: number | undefined; readonly alertAfterMs: number | undefined };
  /** Of the coordinator; `undefined`: made from the host's name. */
  readonly name: string | undefined;
  /** Copies of each stream that is made; `undefined`: 3 on a cluster, else 1. */
  readonly replicas: number | undefined;
  /** Where the audit log is copied to; `undefined`: nowhere. */
  readonly auditFile: string | undefined;
}

export interface CoordinatorOptions extends UpOptions {
  /** `undefined`: 3 s, on a cluster 12 s. */
  readonly leaseMs: number | undefined;
}

/** One instance of an agent, with the labels of all and its own. */
export interface AgentInstance {
  readonly id: string;
  readonly labels: Labels;
}

export interface AgentOptions extends LongRunning {
  readonly name: string | undefined;
  /** At least one, each id once. */
  readonly instances: readonly AgentInstance[];
  readonly routesFile: string | undefined;
  readonly reloadCommand: string | undefined;
  /** On SIGTERM the instances leave the fleet. */
  readonly leave: boolean;
  /** On SIGTERM their processes end too; without it they go on, and the next start of this agent adopts them. */
  readonly stopProcesses: boolean;
}

/** What the commands that stay do; they return when they have ended in order. */
export interface Runners {
  readonly up: (options: UpOptions, io: CliIo) => Promise<ExitCode>;
  readonly coordinator: (options: CoordinatorOptions, io: CliIo) => Promise<ExitCode>;
  readonly agent: (options: AgentOptions, io: CliIo) => Promise<ExitCode>;
  /** Plays the runs of a rehearsal; without it they are played in this thread. */
  readonly rehearse?: Player;
  /** Lives random lives; without it they are lived in this thread. */
  readonly chaos?: ChaosPlayer;
}

/** Adds those that there is a runner for. */
export function addLongRunningCommands(
  program: Command,
  cli: Cli,
  { up, coordinator, agent }: Partial<Runners>,
): void {
  if (up !== undefined) addUp(program, cli, up);
  if (coordinator !== undefined) addCoordinator(program, cli, coordinator);
  if (agent !== undefined) addAgent(program, cli, agent);
}

const auditFileOption = [
  "--audit-file <file>",
  "append every event of the audit log to this file too (env ROLLCALL_AUDIT_FILE)",
] as const;

function auditFileOf(flag: string | undefined, { env, cwd }: CliIo): string | undefined {
  const path = flag ?? env.ROLLCALL_AUDIT_FILE ?? "";
  return path === "" ? undefined : resolve(cwd, path);
}

interface UpFlags {
  readonly name?: string;
  readonly replicas?: number;
  readonly auditFile?: string;
  readonly reconcileEvery?: number;
  readonly appsEvery?: number;
  readonly appAlertAfter?: number;
}

const reconcileEvery = [
  "--reconcile-every <duration>",
  "time between two reconciliations while it leads, at least 1m (default: 1h)",
  parseReconcileEvery,
] as const;

const appsEvery = [
  "--apps-every <duration>",
  "time between two looks at all apps while it leads, at least 1s (default: 30s)",
  parseAppsEvery,
] as const;

const appAlertAfter = [
  "--app-alert-after <duration>",
  "time that an app is not as asked on an instance before an alert is raised (default: 10m)",
  parseDuration,
] as const;

function parseAppsEvery(text: string): number {
  const everyMs = parseDuration(text);
  if (everyMs < 1_000) throw usageError("--apps-every is at least 1s.");
  return everyMs;
}

/** More often it would only load the hosts: every change is acted on at once without it. */
function parseReconcileEvery(text: string): number {
  const everyMs = parseDuration(text);
  if (everyMs < 60_000) throw usageError("--reconcile-every is at least 1m.");
  return everyMs;
}

function addUp(program: Command, cli: Cli, run: Runners["up"]): void {
  const command = program
    .command("up")
    .description("find or start a NATS server and start a control plane, and stay until Ctrl-C")
    .option("--name <id>", "name of the coordinator (default: from the host's name)")
    .addOption(replicasOption())
    .option(...auditFileOption)
    .option(...reconcileEvery)
    .option(...appsEvery)
    .option(...appAlertAfter)
    .action(async (flags: UpFlags, command: Command) => {
      const options = {
        ...(await longRunning(cli, command)),
        name: checked(flags.name, "The coordinator"),
        replicas: flags.replicas,
        auditFile: auditFileOf(flags.auditFile, cli.io),
        reconcileEveryMs: flags.reconcileEvery,
        apps: { everyMs: flags.appsEvery, alertAfterMs: flags.appAlertAfter },
      };
      cli.endWith(await run(options, cli.io));
    });
  withExamples(command, "rollcall up", "rollcall up --nats nats://nats.internal:4222 --fleet shop");
}

interface CoordinatorFlags extends UpFlags {
  readonly lease?: number;
}

function addCoordinator(program: Command, cli: Cli, run: Runners["coordinator"]): void {
  const command = program
    .command("coordinator")
    .description("run one more coordinator of a fleet; it takes over when the leader ends")
    .option("--name <id>", "name of the coordinator (default: from the host's name)")
    .option(
      "--lease <duration>",
      "time after which a silent leader is replaced (default: 3s, on a cluster 12s)",
      parseDuration,
    )
    .addOption(replicasOption())
    .option(...auditFileOption)
    .option(...reconcileEvery)
    .option(...appsEvery)
    .option(...appAlertAfter)
    .action(async (flags: CoordinatorFlags, command: Command) => {
      const options = {
        ...(await longRunning(cli, command)),
        name: checked(flags.name, "The coordinator"),
        leaseMs: flags.lease,
        replicas: flags.replicas,
        auditFile: auditFileOf(flags.auditFile, cli.io),
        reconcileEveryMs: flags.reconcileEvery,
        apps: { everyMs: flags.appsEvery, alertAfterMs: flags.appAlertAfter },
      };
      cli.endWith(await run(options, cli.io));
    });
  withExamples(command, "rollcall coordinator --name coordinator-2");
}

/** Of streams that are there already an administrator decides. */
function replicasOption(): Option {
  return new Option(
    "--replicas <count>",
    "copies of the ledger when it is made: 1, 3 or 5 (default: 3 on a NATS cluster, else 1)",
  ).argParser(parseReplicas);
}

function parseReplicas(text: string): number {
  if (!/^[135]$/.test(text)) throw new InvalidArgumentError("Give 1, 3 or 5.");
  return Number(text);
}

interface AgentFlags {
  readonly instance?: readonly AgentInstance[];
  readonly label?: readonly (readonly [string, string])[];
  readonly name?: string;
  readonly routes?: string;
  readonly reloadCommand?: string;
  readonly leave?: boolean;
  readonly stopProcesses?: boolean;
}

function addAgent(program: Command, cli: Cli, run: Runners["agent"]): void {
  const command = program
    .command("agent")
    .description("run instances on this host: their releases, processes and health checks")
    .option(
      "--instance <id[:k=v,...]>",
      "an instance to run, with labels of its own; can be repeated",
      collect(parseInstance),
    )
    .option("--label <k=v>", "a label for all of them; can be repeated", collect(parseLabel))
    .option("--name <id>", "name of the agent's folder below the data folder (default: the first instance)")
    .option("--routes <file>", "write where traffic for each instance goes into this file")
    .option("--reload-command <command>", "run after the routes file changed")
    .option("--leave", "on SIGTERM take the instances out of the fleet, and end their processes")
    .option(
      "--stop-processes",
      "on SIGTERM end their processes; without it they go on, and the next start adopts them",
    )
    .action(async (flags: AgentFlags, command: Command) => {
      const options = {
        instances: instancesOf(flags),
        name: checked(flags.name, "The agent"),
        routesFile: flags.routes,
        reloadCommand: flags.reloadCommand,
        leave: flags.leave === true,
        stopProcesses: flags.stopProcesses === true,
      };
      cli.endWith(await run({ ...(await longRunning(cli, command)), ...options }, cli.io));
    });
  withExamples(
    command,
    "rollcall agent --instance web-1:tier=web,zone=a --instance worker-1:tier=worker",
    "rollcall agent --instance $(hostname) --label tier=web --leave",
  );
}

async function longRunning(cli: Cli, command: Command): Promise<LongRunning> {
  const globals = cli.globals(command);
  return {
    target: await findTarget(globals, cli.io),
    logLevel: logLevelOf(globals, cli.io, "info"),
    json: cli.isJson(command),
  };
}

function checked(name: string | undefined, what: string): string | undefined {
  return name === undefined ? undefined : checkName("name", what, name);
}

function instancesOf({ instance: given = [], label: shared = [] }: AgentFlags): AgentInstance[] {
  if (given.length === 0) throw usageError("An agent runs instances: give --instance NAME, once for each.");
  const labelsOfAll = Object.fromEntries(shared);
  const seen = new Set<string>();
  return given.map(({ id, labels }) => {
    if (seen.has(id)) throw usageError(`--instance ${id} is given twice.`);
    seen.add(checkName("name", "The instance", id));
    const all = labelsSchema.safeParse({ ...labelsOfAll, ...labels });
    if (!all.success)
      throw usageError(`The labels of --instance ${id} are not allowed: ${all.error.issues[0]?.message}.`);
    return { id, labels: all.data };
  });
}

/** `web-1` or `web-1:tier=web,zone=a`. */
function parseInstance(text: string): AgentInstance {
  const colon = text.indexOf(":");
  if (colon < 0) return { id: text, labels: {} };
  const labels = text
    .slice(colon + 1)
    .split(",")
    .map(parseLabel);
  return { id: text.slice(0, colon), labels: Object.fromEntries(labels) };
}

function parseLabel(text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw usageError(`${JSON.stringify(text)} is no label: write k=v.`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
