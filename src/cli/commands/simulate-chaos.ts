import { readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import type { ChaosPlayer, LifeOrder } from "../../simulator/chaos/chaos.js";
import { type LifePlan, lifePlanSchema } from "../../simulator/chaos/life-plan.js";
import { ChaosProgress } from "../chaos-progress.js";
import { type ChaosEnd, chaosJson, chaosText, exitCodeOfChaos, foundText } from "../chaos-view.js";
import type { Cli } from "../cli.js";
import { productCommit } from "../product-version.js";
import { usageError } from "../usage-error.js";
import { parseCount } from "../values.js";
import { countText } from "../words.js";

export interface ChaosOptions {
  readonly seeds?: number;
  readonly seed?: string;
  readonly life?: string;
  readonly instancesMax?: number;
  readonly minutes?: number;
  readonly out?: string;
}

const seedsDefault = 20;
const instancesMostMax = 200;
const minuteMs = 60_000;
/** Messages, writes and effects in search of a smaller life that fails too: minutes. */
const shrinkEffortMax = 1_500_000;
const outDefault = ".rollcall-chaos";
/** Options of `simulate` that go with `--chaos`; the others are those of a rehearsal. */
const ours = new Set(["chaos", "seeds", "seed", "life", "instancesMax", "minutes", "out"]);

export function addChaosOptions(command: Command): void {
  command
    .optionsGroup("Instead of a rehearsal:")
    .option("--chaos", "look for faults in Rollcall: random lives of whole fleets, in which all goes wrong")
    .option(
      "--seeds <count>",
      `so many lives, of the seeds from --seed on (default: ${seedsDefault})`,
      parseCount,
    )
    .option("--minutes <count>", "go on for so long, over fresh seeds", parseMinutes)
    .option("--life <file>", "live the plan of a life, as a failure has left it")
    .option("--instances-max <count>", "draw no larger fleets (default: 200)", parseInstances)
    .option("--out <folder>", `where lives that failed are written (default: ${outDefault})`);
}

/** `simulate --chaos` @param player where lives are lived: in this thread, unless told */
export async function runChaos(
  cli: Cli,
  command: Command,
  options: ChaosOptions,
  player: ChaosPlayer | undefined,
): Promise<void> {
  refuseOthers(command, (name) => ours.has(name), "with a rehearsal, not with --chaos");
  const { io } = cli;
  const orders = ordersOf(cli, options);
  // Loaded when needed: no other command runs a fleet.
  const [{ doChaosHere }, { ChaosRun }, { writeFindings, writePlan }] = await Promise.all([
    import("../../simulator/chaos/chaos.js"),
    import("../../simulator/chaos/chaos-run.js"),
    import("../chaos-folder.js"),
  ]);
  const play = player ?? doChaosHere;
  const run = new ChaosRun();
  const limitMs = options.minutes === undefined ? undefined : options.minutes * minuteMs;
  const progress = new ChaosProgress(io, run.tally, { limitMs, lives: orders.count });
  let isInterrupted = false;
  // The second Ctrl-C ends the process.
  const interruption = io.onInterrupt(() => {
    isInterrupted = true;
    interruption.unsubscribe();
  });
  const isOver = () => isInterrupted || progress.passedMs >= (limitMs ?? Number.POSITIVE_INFINITY);
  const out = resolve(io.cwd, options.out ?? outDefault);
  try {
    await run.live(whileNot(isOver, orders.all), play, (finding) => {
      // At once: a long run may be ended before its end.
      if (finding !== undefined && options.life === undefined)
        progress.say(foundText(finding, relative(io.cwd, writePlan(finding, out))));
      progress.show();
    });
    const { passedMs } = progress;
    progress.end();
    if (options.life === undefined && run.findings.length > 0 && !isInterrupted) {
      io.stderr.write(
        `${countText(run.tally.failures, "life", "lives")} failed; looking for smaller ones.\n`,
      );
      await run.shrink(play, { effortMax: shrinkEffortMax });
    }
    const folders = await writeFindings(run.findings, out);
    const end: ChaosEnd = {
      run,
      replay: orders.replay,
      passedMs,
      limitMs,
      isInterrupted,
      folders: folders.map((folder) => relative(io.cwd, folder)),
      commit: productCommit(),
    };
    cli.show(command, chaosJson(end), () => chaosText(end, cli.paint));
    cli.endWith(exitCodeOfChaos(end));
  } finally {
    progress.end();
    interruption.unsubscribe();
  }
}

/** Says by name which options have no sense together. */
export function refuseChaosOptions(command: Command): void {
  refuseOthers(command, (name) => name === "seed" || !ours.has(name), "with --chaos");
}

function refuseOthers(command: Command, isFine: (name: string) => boolean, why: string): void {
  const given = command.options.filter(
    (option) => command.getOptionValueSource(option.attributeName()) === "cli",
  );
  const others = given.filter((option) => !isFine(option.attributeName()));
  if (others.length > 0)
    throw usageError(
      `${others.map(({ long }) => long).join(", ")} ${others.length === 1 ? "goes" : "go"} ${why}.`,
    );
}

interface Orders {
  readonly all: Iterable<LifeOrder>;
  /** Undefined: as many as there is time for. */
  readonly count: number | undefined;
  /** What to ask for to live the first so many again. */
  readonly replay: (lives: number) => string;
}

function ordersOf({ io }: Cli, options: ChaosOptions): Orders {
  const { life, seed, seeds, minutes, instancesMax } = options;
  if (life !== undefined) {
    if (seed !== undefined || seeds !== undefined || minutes !== undefined)
      throw usageError("--life is one life: leave --seed, --seeds and --minutes out.");
    return { all: [{ plan: readLife(io.cwd, life) }], count: 1, replay: () => `--life ${life}` };
  }
  // Seeds that nobody has lived yet, most likely.
  const fresh = minutes === undefined ? 1 : Math.floor(io.clock.nowMs() / 1_000);
  const first = seed === undefined ? fresh : parseSeed(seed);
  const count = seeds ?? (minutes !== undefined ? undefined : seed === undefined ? seedsDefault : 1);
  const limit = instancesMax === undefined ? "" : ` --instances-max ${instancesMax}`;
  return {
    all: seedsFrom(first, count, instancesMax),
    count,
    replay: (lives) => `--seed ${first}${lives === 1 ? "" : ` --seeds ${lives}`}${limit}`,
  };
}

function* seedsFrom(
  first: number,
  count: number | undefined,
  instancesMax: number | undefined,
): Generator<LifeOrder> {
  for (let nth = 0; nth < (count ?? Number.POSITIVE_INFINITY); nth++)
    yield { seed: String(first + nth), instancesMax };
}

function* whileNot<T>(isOver: () => boolean, items: Iterable<T>): Generator<T> {
  for (const item of items) {
    if (isOver()) return;
    yield item;
  }
}

function readLife(cwd: string, path: string): LifePlan {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, path), "utf8");
  } catch (error) {
    throw usageError(`The file ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw usageError(`The plan ${path} is no JSON.`);
  }
  const plan = lifePlanSchema.safeParse(value);
  if (!plan.success) throw usageError(`The plan ${path} is not valid. ${z.prettifyError(plan.error)}`);
  return plan.data;
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw usageError("With --chaos give a whole number for --seed.");
  return seed;
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text) || minutes === 0)
    throw new InvalidArgumentError("Give a number of minutes: 10.");
  return minutes;
}

function parseInstances(text: string): number {
  const instances = parseCount(text);
  if (instances > instancesMostMax) throw new InvalidArgumentError(`Give at most ${instancesMostMax}.`);
  return instances;
}
