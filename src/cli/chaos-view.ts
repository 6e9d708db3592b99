import { durationText } from "../contracts/duration.js";
import type { ChaosRun, Finding } from "../simulator/chaos/chaos-run.js";
import type { Trouble } from "../simulator/chaos/failure.js";
import { families } from "../simulator/chaos/families.js";
import type { LifePlan } from "../simulator/chaos/life-plan.js";
import { marks } from "../simulator/chaos/marks.js";
import { figuresText, unreached } from "./chaos-progress.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import type { Paint } from "./paint.js";
import { productVersion } from "./product-version.js";
import { tableText } from "./table.js";
import { countText, stopwatchText } from "./words.js";

/** A run so long has to reach every mark. */
const longRunMs = 600_000;

/** A run of many lives that is over. */
export interface ChaosEnd {
  readonly run: ChaosRun;
  /** What to ask for to live the first so many again. */
  readonly replay: (lives: number) => string;
  /** Of real time. */
  readonly passedMs: number;
  /** How long it was to go on; undefined: for a number of lives. */
  readonly limitMs: number | undefined;
  readonly isInterrupted: boolean;
  /** Where the lives that failed were written, in the order of the findings. */
  readonly folders: readonly string[];
  /** Of the repository that Rollcall runs from, if it does. */
  readonly commit: string | undefined;
}

const codes: Readonly<Record<Trouble, ExitCode>> = {
  correctness: exitCodes.incorrect,
  liveness: exitCodes.stalled,
  crash: exitCodes.crashed,
  nondeterminism: exitCodes.nondeterministic,
};

/** By the first life that failed. */
export function exitCodeOfChaos(end: ChaosEnd): ExitCode {
  const [first] = end.run.findings;
  if (first !== undefined) return codes[first.failure.trouble];
  if (missed(end).length > 0) return exitCodes.internal;
  return end.isInterrupted ? exitCodes.interrupted : exitCodes.done;
}

/** Marks that a run of this length had to reach, and did not. */
function missed({ run, limitMs, isInterrupted }: ChaosEnd): readonly string[] {
  return limitMs === undefined || limitMs < longRunMs || isInterrupted ? [] : unreached(run.tally);
}

export function chaosJson(end: ChaosEnd) {
  const { run, passedMs, folders } = end;
  const { tally, findings } = run;
  const reached: ReadonlyMap<string, number> = tally.marks;
  return {
    lives: tally.lives,
    seconds: passedMs / 1_000,
    virtualMs: tally.virtualMs,
    happened: tally.happened,
    marks: Object.fromEntries(Object.keys(marks).map((mark) => [mark, reached.get(mark) ?? 0])),
    families: Object.fromEntries(families.map((family) => [family, tally.families.get(family) ?? 0])),
    missed: missed(end),
    failed: tally.failures,
    failures: findings.map(({ report, failure, shrunk }, nth) => ({
      seed: report.seed,
      ...failure,
      folder: folders[nth],
      shrunk: shrunk === undefined ? null : { ...sizeOf(shrunk.plan), lives: shrunk.lives },
    })),
    replay: replayLine(end),
  };
}

export function chaosText(end: ChaosEnd, paint: Paint): string {
  const { run, passedMs, folders } = end;
  const { tally, findings } = run;
  const never = missed(end);
  return [
    `${figuresText(tally, passedMs)}, in ${durationText(passedMs)}; each was lived twice`,
    "",
    marksTable(end, paint),
    "",
    familiesTable(end, paint),
    "",
    ...findings.flatMap((finding, nth) => [findingText(finding, folders[nth] ?? "", paint), ""]),
    ...(never.length === 0 ? [] : [paint("red", `No life has reached ${never.join(", ")}.`)]),
    ...(tally.failures === 0 ? ["All that must hold has held."] : []),
    replayLine(end),
  ].join("\n");
}

function marksTable({ run: { tally } }: ChaosEnd, paint: Paint): string {
  const reached: ReadonlyMap<string, number> = tally.marks;
  const columns = [
    { head: "reached", cell: ([name]: readonly [string, string]) => name },
    {
      head: "lives",
      cell: ([name]: readonly [string, string]) => String(reached.get(name) ?? 0),
      right: true,
    },
    { head: "", cell: ([, says]: readonly [string, string]) => says },
  ];
  return tableText(Object.entries(marks), columns, paint);
}

function familiesTable({ run: { tally } }: ChaosEnd, paint: Paint): string {
  const columns = [
    { head: "faults", cell: (family: (typeof families)[number]) => family },
    {
      head: "lives",
      cell: (family: (typeof families)[number]) => String(tally.families.get(family) ?? 0),
      right: true,
    },
  ];
  return tableText(families, columns, paint);
}

/** Said when it is found; the run goes on. */
export function foundText({ report, failure }: Finding, folder: string): string {
  return `Seed ${report.seed} fails, ${failure.id}: ${failure.sentence} (${folder})`;
}

function findingText({ report, failure, plan, shrunk }: Finding, folder: string, paint: Paint): string {
  const { trouble, id, sentence, atMs } = failure;
  const lines = [
    paint("red", `Seed ${report.seed} fails after ${stopwatchText(atMs)}, ${trouble}, ${id}: ${sentence}`),
  ];
  if (shrunk === undefined) lines.push(`  ${folder}`);
  else
    lines.push(
      `  The smallest life that fails so has ${sizeText(shrunk.plan)}; it had ${sizeText(plan)}.`,
      `  rollcall simulate --chaos --life ${folder}/plan.json`,
      `  rollcall events --file ${folder}/trace.ndjson`,
      `  ${folder}/picture.txt`,
    );
  return lines.join("\n");
}

function sizeOf({ happenings, instances, coordinators }: LifePlan) {
  return {
    happenings: happenings.length,
    instances: instances.length,
    coordinators: coordinators.length,
  };
}

function sizeText(plan: LifePlan): string {
  const { happenings, instances, coordinators } = sizeOf(plan);
  return `${countText(happenings, "happening")}, ${countText(instances, "instance")} and ${countText(coordinators, "coordinator")}`;
}

/** What to paste to see it again: the first life that failed, or all of them. */
function replayLine({ run, replay, commit }: ChaosEnd): string {
  const [first] = run.findings;
  const asked = first === undefined ? replay(run.tally.lives) : orderText(first, replay);
  const by = commit === undefined ? "" : ` (${commit})`;
  return `rollcall simulate --chaos ${asked} # rollcall ${productVersion()}${by}`;
}

function orderText({ order }: Finding, replay: (lives: number) => string): string {
  if ("plan" in order) return replay(1);
  const { seed, instancesMax } = order;
  return `--seed ${seed}${instancesMax === undefined ? "" : ` --instances-max ${instancesMax}`}`;
}
