import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import type { Amount } from "../../contracts/deployment.js";
import { parseSelector } from "../../contracts/selector.js";
import { type RehearsalPlan, rehearsalPlanSchema } from "../../simulator/plan.js";
import { refuseContradictions } from "../../simulator/plan-check.js";
import type { Rehearsal } from "../../simulator/rehearsal.js";
import { type Cli, withExamples } from "../cli.js";
import { planLike } from "../plan-like.js";
import { progressBar } from "../progress-bar.js";
import { outcomeText, rehearsalJson, rehearsalText } from "../rehearsal-view.js";
import { replayFile } from "../replay-file.js";
import { usageError } from "../usage-error.js";
import { collect, parseAmount, parseCount, parseDuration, parseShare } from "../values.js";
import type { Runners } from "./long-running.js";
import { addChaosOptions, type ChaosOptions, refuseChaosOptions, runChaos } from "./simulate-chaos.js";

type Compared = RehearsalPlan["compare"][number];

interface SimulateOptions extends ChaosOptions {
  readonly instances?: number;
  readonly selector?: string;
  readonly batch?: Amount;
  readonly failureThreshold?: Amount;
  readonly minHealthy?: number;
  readonly deadline?: number;
  readonly progressDeadline?: number;
  readonly rollback: boolean;
  readonly updateTime?: string;
  readonly failureRate?: number;
  readonly silenceRate?: number;
  readonly runs?: number;
  readonly compare?: readonly Compared[];
  readonly plan?: string;
  readonly html?: string;
  readonly like?: string;
  readonly replay?: string;
  readonly deployment?: string;
  readonly chaos?: boolean;
}

/** `simulate`: rehearses a roll-out, or looks for faults. @param runners where it is done: in this thread, unless told */
export function addSimulateCommand(
  program: Command,
  cli: Cli,
  { rehearse: player, chaos }: Pick<Partial<Runners>, "rehearse" | "chaos">,
): void {
  const command = program
    .command("simulate")
    .description(
      "rehearse a roll-out in virtual time: how likely it completes, how long it takes, how many it hurts if it is bad; or --chaos",
    )
    .option("--instances <count>", "instances in the fleet (default: 100)", parseCount)
    .option("--batch <amount>", "instances in flight at once (default: 1)", parseAmount)
    .option("--failure-threshold <amount>", "failures at which it fails (default: 1)", parseAmount)
    .option("--min-healthy <duration>", "how long an instance must be healthy (default: 10s)", parseDuration)
    .option("--deadline <duration>", "for one instance, from the command (default: 15m)", parseDuration)
    .option("--progress-deadline <duration>", "without any instance moving (default: 20m)", parseDuration)
    .option("--no-rollback", "it does not go back when it fails")
    .option(
      "--update-time <distribution>",
      "of one instance until its first healthy check: 20s, uniform(10s,30s), normal(20s,5s), lognormal(20s,8s), exponential(20s) (default: 20s)",
    )
    .option("--failure-rate <share>", "of the updates that fail: 2% or 0.02 (default: 0)", parseShare)
    .option(
      "--silence-rate <share>",
      "of the updates in which an instance falls silent (default: 0)",
      parseShare,
    )
    .option("--runs <count>", "how often it is played (default: 50)", parseCount)
    .option("--seed <seed>", "the same seed gives the same answer (default: 1)")
    .option(
      "--compare <changes>",
      "an alternative beside it, by the same draws: batch=10 or batch=5%,failure-threshold=3; may be given again",
      collect(parseCompared),
    )
    .option(
      "--like <deployment>",
      "its numbers, and how its updates went, from the audit log; options and the plan file go before them",
    )
    .option("--html <file>", "write a page with plots, for any browser; it needs no network")
    .option("--plan <file>", "all of it from a JSON file; options go before what it says")
    .option(
      "--replay <file>",
      "instead, play recorded deployments (what --audit-file or rollcall events --json has written) through today's machines, and say where they decide differently",
    )
    .option("--deployment <id>", "of what --replay plays, this one alone")
    .addHelpText("after", replayCodes);
  addChaosOptions(command);
  command.action(async (options: SimulateOptions, command: Command) => {
    if (options.chaos === true) return runChaos(cli, command, options, chaos);
    refuseChaosOptions(command);
    const { like } = options;
    if (isReplay(options)) return await replayFile(cli, command, options.replay, options.deployment);
    const known = like === undefined ? {} : await cli.session(command, (session) => planLike(session, like));
    const plan = planOf(options, known, cli.io.cwd);
    refuseContradictions(plan);
    // Loaded when needed: no other command runs a fleet.
    const { playHere, rehearse } = await import("../../simulator/rehearsal.js");
    const play = player ?? playHere;
    const bar = progressBar(cli.io, "rehearsing");
    const rehearsal = await rehearse(plan, play, (done, all) => bar.show(done, all)).finally(() => bar.end());
    if (options.html !== undefined) await writePage(rehearsal, resolve(cli.io.cwd, options.html));
    cli.show(command, rehearsalJson(rehearsal), () => rehearsalText(rehearsal, cli.paint));
  });
  withExamples(
    command,
    "rollcall simulate --instances 1000 --batch 5% --failure-threshold 1% --update-time 'lognormal(20s,8s)' --failure-rate 2%",
    "rollcall simulate --instances 1000 --batch 5% --failure-rate 1% --compare batch=10 --compare batch=20%",
    "rollcall simulate --like d7 --compare batch=20%",
    "rollcall simulate --plan roll-out.json --runs 200 --seed 7",
    "rollcall simulate --replay /var/log/rollcall/audit.ndjson --deployment d7",
    "rollcall simulate --chaos --minutes 10",
    "rollcall simulate --chaos --seed 17",
  );
}

const replayCodes = `
--replay ends with 0 if all is decided as it was, with 4 if not, and with 2 if the file cannot be played.`;

/** @throws RollcallError as wrong usage, for options that do not go together */
function isReplay(options: SimulateOptions): options is SimulateOptions & { readonly replay: string } {
  const { replay, deployment, rollback, ...others } = options;
  const [other] = [...Object.keys(given(others)), ...(rollback ? [] : ["noRollback"])];
  if (replay === undefined && deployment !== undefined)
    throw usageError("--deployment chooses one of those that --replay plays: give --replay too.");
  if (replay !== undefined && other !== undefined)
    throw usageError(`--replay plays what was recorded: leave --${kebab(other)} out.`);
  return replay !== undefined;
}

/** `noRollback` as it is typed. */
function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The page, with the course of one run that is played once more for it. */
async function writePage(rehearsal: Rehearsal, path: string): Promise<void> {
  const [{ middleRun, rehearsalPage }, { rehearseOnce }] = await Promise.all([
    import("../rehearsal-page/page.js"),
    import("../../simulator/rehearse.js"),
  ]);
  const { plan } = rehearsal;
  const run = middleRun(rehearsal);
  const { result, course } = await rehearseOnce({ plan, strategy: plan.strategy, run, keepsCourse: true });
  const { durationMs, outcome } = result;
  const page = rehearsalPage(rehearsal, { run, durationMs, outcome: outcomeText(outcome), course });
  try {
    writeFileSync(path, page);
  } catch (error) {
    throw usageError(`The page ${path} cannot be written: ${(error as NodeJS.ErrnoException).code}.`);
  }
}

function planOf(options: SimulateOptions, known: Loose, cwd: string): RehearsalPlan {
  const file = fileOf(options.plan, cwd);
  const base = { ...known, ...file, strategy: both("strategy"), behaviour: both("behaviour") };
  function both(part: string): Loose {
    return { ...(known[part] as Loose | undefined), ...(file[part] as Loose | undefined) };
  }
  const plan = rehearsalPlanSchema.safeParse(changed(base, options));
  if (!plan.success) throw usageError(`The plan is not valid. ${z.prettifyError(plan.error)}`);
  // A selector that cannot be read is refused here, not by each run.
  parseSelector(plan.data.strategy.selector);
  return plan.data;
}

type Loose = Record<string, unknown>;

function fileOf(path: string | undefined, cwd: string): Loose {
  if (path === undefined) return {};
  const text = readFile(resolve(cwd, path));
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw usageError(`The plan ${path} is not a JSON object.`);
  }
}

function readFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw usageError(`The file ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`);
  }
}

/** The plan with what the command line says in place of what the file says. */
function changed(file: Loose, options: SimulateOptions): Loose {
  const { instances, runs, seed, compare } = options;
  return {
    ...file,
    ...given({ runs, seed, compare }),
    ...(instances !== undefined && { fleet: [{ instances }] }),
    strategy: {
      ...(file.strategy as Loose | undefined),
      ...given({
        batch: options.batch,
        failureThreshold: options.failureThreshold,
        minHealthyMs: options.minHealthy,
        deadlineMs: options.deadline,
        progressDeadlineMs: options.progressDeadline,
        rollback: options.rollback ? undefined : "off",
      }),
    },
    behaviour: {
      ...(file.behaviour as Loose | undefined),
      ...given({
        updateTime: options.updateTime,
        failureRate: options.failureRate,
        silenceRate: options.silenceRate,
      }),
    },
  };
}

function given(values: Loose): Loose {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

const changes: Readonly<Record<string, (text: string) => Compared>> = {
  batch: (text) => ({ batch: parseAmount(text) }),
  "failure-threshold": (text) => ({ failureThreshold: parseAmount(text) }),
  "min-healthy": (text) => ({ minHealthyMs: parseDuration(text) }),
  deadline: (text) => ({ deadlineMs: parseDuration(text) }),
  "progress-deadline": (text) => ({ progressDeadlineMs: parseDuration(text) }),
  rollback: (text) => ({ rollback: text === "off" ? "off" : "auto" }),
};

/** `batch=5%,failure-threshold=3` */
function parseCompared(text: string): Compared {
  let compared: Compared = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=");
    const change = changes[name.trim()];
    if (change === undefined)
      throw usageError(`--compare ${text}: give ${Object.keys(changes).join(", ")}, each as name=value.`);
    compared = { ...compared, ...change(value.trim()) };
  }
  return compared;
}
