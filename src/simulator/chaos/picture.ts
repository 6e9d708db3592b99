import { type Entry, glyphs } from "./diary.js";
import type { Failure } from "./failure.js";
import type { LifePlan } from "./life-plan.js";

/** What a screen has room for. */
const rowsMax = 40;
const columnsMax = 20;
const cellMax = 3;
const wordsMax = 90;
/** What is closer together stands in one row. */
const rowMs = 500;

interface Row {
  readonly atMs: number;
  readonly cells: Map<string, string>;
  readonly words: string[];
}

/**
 * A life at one look, as plain text: a column a process, a row a moment, the last rows before the failure if there are too many.
 */
export function pictureOf(plan: LifePlan, entries: readonly Entry[], failure: Failure | null): string {
  const rows = rowsOf(entries);
  const nodes = columnsOf(plan, rows);
  const shown = rows.slice(-rowsMax);
  const left = rows.length - shown.length;
  const width = Math.max(cellMax, ...nodes.map((node) => node.length)) + 1;
  const lines = [
    `seed ${plan.seed}, lease ${plan.leaseMs} ms, faults for ${timeText(plan.faultsMs)}`,
    "",
    `${"time".padStart(9)}  ${nodes.map((node) => node.padEnd(width)).join("")}`.trimEnd(),
    ...(left === 0 ? [] : [`${"…".padStart(9)}  ${left} rows before`]),
    ...shown.map(({ atMs, cells, words }) => {
      const drawn = nodes.map((node) => (cells.get(node) ?? "·").padEnd(width)).join("");
      return `${timeText(atMs).padStart(9)}  ${drawn} ${clipped(words.join("; "))}`.trimEnd();
    }),
  ];
  if (failure !== null)
    lines.push(
      "",
      `${timeText(failure.atMs).padStart(9)}  ${failure.trouble} ${failure.id}: ${failure.sentence}`,
    );
  return [...lines, "", legend(shown, nodes), ""].join("\n");
}

function rowsOf(entries: readonly Entry[]): Row[] {
  const rows: Row[] = [];
  for (const { atMs, node, glyph, words } of entries) {
    let row = rows.at(-1);
    if (row === undefined || atMs - row.atMs >= rowMs) {
      row = { atMs, cells: new Map(), words: [] };
      rows.push(row);
    }
    if (node !== undefined) {
      const before = row.cells.get(node) ?? "";
      if (before.length < cellMax) row.cells.set(node, before + glyph);
    }
    if (words !== "") row.words.push(words);
  }
  return rows;
}

/** Coordinators first, then instances; of too many, those about which there is most to tell. */
function columnsOf({ instances }: LifePlan, rows: readonly Row[]): string[] {
  const told = new Map<string, number>();
  for (const { cells } of rows) for (const node of cells.keys()) told.set(node, (told.get(node) ?? 0) + 1);
  const ids = new Set(instances.map(({ id }) => id));
  const isInstance = (node: string) => ids.has(node) || node.startsWith("j");
  return [...told.keys()]
    .sort((a, b) => (told.get(b) ?? 0) - (told.get(a) ?? 0))
    .slice(0, columnsMax)
    .sort(
      (a, b) => Number(isInstance(a)) - Number(isInstance(b)) || a.localeCompare(b, "en", { numeric: true }),
    );
}

/** Only the letters that are there. */
function legend(rows: readonly Row[], nodes: readonly string[]): string {
  const there = new Set(rows.flatMap(({ cells }) => nodes.flatMap((node) => [...(cells.get(node) ?? "")])));
  return Object.entries(glyphs)
    .filter(([glyph]) => there.has(glyph))
    .map(([glyph, means]) => `${glyph} ${means}`)
    .join(" · ");
}

function clipped(text: string): string {
  return text.length <= wordsMax ? text : `${text.slice(0, wordsMax - 1)}…`;
}

/** `1:02.345` */
function timeText(ms: number): string {
  const seconds = (ms / 1_000) % 60;
  return `${Math.floor(ms / 60_000)}:${seconds.toFixed(3).padStart(6, "0")}`;
}
