import Table from "cli-table3";
import type { Machine } from "./machine.js";
import type { Result, SummedFigure } from "./result.js";
import type { Summary } from "./stats.js";

const header = ["", "Rollcall", "bare", "ratio", "goal"];

/** The figures of a benchmark for a terminal. */
export function tableOf({ name, figures, notes }: Result): string {
  const table = new Table({
    head: header.with(0, name),
    style: { head: [], border: [] },
    wordWrap: true,
    colWidths: [44, 26, 26, 20, 18],
  });
  for (const figure of figures) table.push(cellsOf(figure));
  return [table.toString(), ...notes.map((note) => `  ${note}`), ""].join("\n");
}

/** `docs/benchmarks.md`. */
export function pageOf(results: readonly Result[]): string {
  return [
    "# Benchmarks",
    "",
    "This page is written by the benchmarks: `npm run bench -- --save`. One of them alone: `npm run bench -- intake`; with `--json`",
    "everything as JSON. They need Node, a nats-server (found as `rollcall up` finds it) and nothing else, and are no",
    "tests: a slow machine fails nothing.",
    "",
    "Each figure is the median of its runs, with the least and the greatest in brackets. The bare figure is measured in the same run",
    "beside ours, so that machine and moment cancel out in the ratio, which is formed run by run. A goal is met by the median.",
    "The NATS server is configured as by `rollcall up`: every write is on the disk before it is acknowledged (`sync_interval: always`).",
    "",
    ...results.flatMap(sectionOf),
  ].join("\n");
}

function sectionOf(result: Result): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `## ${result.name}`,
    "",
    `${result.about}`,
    "",
    row(header),
    row(header.map(() => "---")),
    ...result.figures.map((figure) => row(cellsOf(figure))),
    "",
    ...result.notes.flatMap((note) => [`${note}`, ""]),
    `Measured ${result.at.slice(0, 10)}${placeOf(result.machine)}; it took ${result.tookSeconds} s.`,
    "",
  ];
}

function placeOf({
  processor,
  cores,
  memoryGiB,
  system,
  node,
  natsServer,
  loadBefore,
  commit,
}: Machine): string {
  return (
    `${commit === null ? "" : ` at ${commit}`} on ${cores} cores of ${processor}, ${memoryGiB} GiB, ${system}, Node ${node.slice(1)}, ` +
    `nats-server ${natsServer}; load of the machine before: ${loadBefore}`
  );
}

function cellsOf({ what, unit, ours, bare, ratio, goal }: SummedFigure): string[] {
  return [
    what,
    textOf(ours, unit),
    bare === undefined ? "" : `${textOf(bare, unit)}, ${bare.what}`,
    ratio === undefined ? "" : textOf(ratio, ""),
    goal === undefined ? "" : `${goal.text}: ${goal.met ? "met" : "**missed**"}`,
  ];
}

function textOf({ median, min, max, runs }: Summary, unit: string): string {
  const middle = `${numberOf(median)}${unit === "" ? "" : ` ${unit}`}`;
  return runs === 1 ? middle : `${middle} (${numberOf(min)}–${numberOf(max)}, ${runs} runs)`;
}

function numberOf(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
