import CliTable from "cli-table3";
import type { Paint } from "./paint.js";
import { plainText } from "./words.js";

/** One column: its head, and what of a row it shows. */
export interface Column<Row> {
  readonly head: string;
  cell(row: Row): string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
  paint?(text: string, row: Row): string;
}

const noBorders = Object.fromEntries(
  (
    [
      "top",
      "top-mid",
      "top-left",
      "top-right",
      "bottom",
      "bottom-mid",
      "bottom-left",
      "bottom-right",
      "left",
      "left-mid",
      "mid",
      "mid-mid",
      "right",
      "right-mid",
      "middle",
    ] as const
  ).map((place) => [place, ""]),
);

/** Aligned columns without lines between them. */
export function tableText<Row>(rows: readonly Row[], columns: readonly Column<Row>[], paint: Paint): string {
  const table = new CliTable({
    head: columns.map(({ head }) => paint("dim", head)),
    colAligns: columns.map(({ right }) => (right ? "right" : "left")),
    chars: noBorders,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 3, compact: true },
  });
  for (const row of rows) {
    table.push(
      columns.map((column) => {
        const text = plainText(column.cell(row));
        return column.paint?.(text, row) ?? text;
      }),
    );
  }
  return trimmed(table.toString());
}

/** Names and values under one another, the values aligned. */
export function factsText(facts: readonly (readonly [name: string, value: string])[], paint: Paint): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  return facts.map(([name, value]) => `${paint("dim", name.padEnd(width))}${plainText(value)}`).join("\n");
}

function trimmed(text: string): string {
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
