import { durationText } from "../contracts/duration.js";
import type { Rehearsal } from "../simulator/rehearsal.js";
import type { RunOutcome } from "../simulator/rehearse.js";
import type { Difference, Quantiles, Share, Summary } from "../simulator/summary.js";
import type { Paint } from "./paint.js";
import { tableText } from "./table.js";
import { countText } from "./words.js";

/** What `simulate --json` prints: the plan as it was understood and what came of each strategy. */
export function rehearsalJson({ plan, instances, strategies }: Rehearsal) {
  return { plan, instances, strategies };
}

/** One question, and the answer of each strategy to it. */
export interface Row {
  readonly name: string;
  readonly cells: readonly string[];
}

const outcomeNames: readonly (readonly [RunOutcome, string])[] = [
  ["completed", "completes"],
  ["rolledBack", "is rolled back"],
  ["failed", "fails, not rolled back"],
  ["held", "is held"],
  ["unfinished", "is not over in 30 days"],
];

/** `it is rolled back` */
export function outcomeText(outcome: RunOutcome): string {
  return `it ${outcomeNames.find(([name]) => name === outcome)?.[1] ?? outcome}`;
}

/** A row a question, with the answer of each strategy. */
export function rehearsalRows({ strategies }: Rehearsal): readonly Row[] {
  const rows: Row[] = [];
  const ask = (name: string, answer: (summary: Summary) => string) =>
    rows.push({ name, cells: strategies.map(answer) });
  for (const [outcome, name] of outcomeNames) {
    const isAlways = outcome === "completed" || outcome === "rolledBack";
    if (isAlways || strategies.some(({ outcomes }) => outcomes[outcome].runs > 0))
      ask(name, ({ outcomes }) => shareText(outcomes[outcome]));
  }
  ask("duration p50", ({ durationMs }) => durationText(durationMs.p50));
  ask("duration p90", ({ durationMs }) => durationText(durationMs.p90));
  ask("duration p99", ({ durationMs }) => durationText(durationMs.p99));
  if (strategies.length > 1)
    ask("duration, to the first", ({ versusFirst }) => differenceText(versusFirst?.durationMs, durationText));
  for (const quantile of ["p50", "p99", "worst"] as const)
    ask(`ran the bad version ${quantile}`, ({ blastRadius }) => blastText(blastRadius, quantile));
  ask("out at the same time p50", ({ outMax }) => String(outMax.p50));
  ask("out at the same time worst", ({ outMax }) => String(outMax.worst));
  return rows;
}

/** The table at the end: a column a strategy. */
export function rehearsalText(rehearsal: Rehearsal, paint: Paint): string {
  const { plan, instances, strategies } = rehearsal;
  const columns = [
    { head: "", cell: ({ name }: Row) => name },
    ...strategies.map((summary, index) => ({
      head: strategyText(summary, strategies[0]),
      cell: ({ cells }: Row) => cells[index] ?? "",
      right: true,
    })),
  ];
  return [
    `${countText(instances, "instance")}, ${countText(plan.runs, "run")} each, seed ${plan.seed}`,
    "",
    tableText(rehearsalRows(rehearsal), columns, paint),
  ].join("\n");
}

/** What sets a strategy apart from the first: `batch 5%, threshold 1%`. */
export function strategyText({ strategy }: Summary, first: Summary | undefined): string {
  const said = [`batch ${strategy.batch}`, `threshold ${strategy.failureThreshold}`];
  const base = first?.strategy;
  if (base !== undefined && strategy.minHealthyMs !== base.minHealthyMs)
    said.push(`healthy ${durationText(strategy.minHealthyMs)}`);
  if (base !== undefined && strategy.deadlineMs !== base.deadlineMs)
    said.push(`deadline ${durationText(strategy.deadlineMs)}`);
  if (base !== undefined && strategy.rollback !== base.rollback) said.push(`rollback ${strategy.rollback}`);
  return said.join(", ");
}

/** `86 % (74–93)` */
function shareText({ share, low, high }: Share): string {
  const percent = (value: number) => String(Math.round(value * 100));
  return `${percent(share)} % (${percent(low)}–${percent(high)})`;
}

function blastText(blastRadius: Quantiles | null, quantile: keyof Quantiles): string {
  return blastRadius === null ? "-" : String(blastRadius[quantile]);
}

/** `+1m20s (±4s)`; a dash for the first strategy itself. */
function differenceText(difference: Difference | undefined, text: (value: number) => string): string {
  if (difference === undefined) return "-";
  const { mean, high } = difference;
  return `${mean < 0 ? "−" : "+"}${text(Math.abs(mean))} (±${text(high - mean)})`;
}
