import type { InstanceView } from "../contracts/views.js";
import type { Paint, Style } from "./paint.js";
import {
  activeOf,
  hasHeard,
  type RolloutPicture,
  type Standing,
  standingOf,
  stateText,
  titleText,
} from "./rollout-picture.js";
import { countText, plainText, stopwatchText, versionCell, wayText } from "./words.js";

/** The room that a view may take, and its colours. */
export interface ViewSpace {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
}

const barCells = 24;
const nameWidthMax = 24;
const versionWidthMax = 30;
const marginColumns = 1;
const whyLinesMax = 3;

const looks: Readonly<
  Record<Standing, { readonly glyph: string; readonly style: Style; readonly rank: number }>
> = {
  failed: { glyph: "✗", style: "red", rank: 0 },
  moving: { glyph: "⟳", style: "cyan", rank: 1 },
  unreachable: { glyph: "?", style: "yellow", rank: 2 },
  waiting: { glyph: "·", style: "dim", rank: 3 },
  done: { glyph: "✓", style: "green", rank: 4 },
  back: { glyph: "↩", style: "green", rank: 4 },
  "not needed": { glyph: "=", style: "dim", rank: 5 },
  untouched: { glyph: "·", style: "dim", rank: 5 },
};

/**
 * A roll-out as lines that fit into a terminal: what it is, how far it is, what it waits for, and one line an
 * instance. Pure: the same picture gives the same lines.
 */
export function rolloutLines(picture: RolloutPicture, space: ViewSpace): string[] {
  const head = headLines(picture, space);
  const room = Math.max(1, space.rows - head.length - 2);
  return [...head, "", ...instanceLines(picture, room, space)];
}

function headLines(picture: RolloutPicture, space: ViewSpace): string[] {
  const { deployment, rollback, nowMs } = picture;
  const active = activeOf(picture);
  const untilMs = active.finishedAtMs ?? nowMs;
  const lines: Segment[][] = [
    [
      [`${deployment.id}  `, "bold"],
      [titleText(deployment), "bold"],
      [`  ${stateText(deployment)}`, stateStyle(deployment.outcome ?? deployment.state)],
      [`  ${stopwatchText(untilMs - deployment.created.atMs)}`, "dim"],
    ],
  ];
  if (rollback !== null) {
    if (deployment.reason !== null) lines.push([[`    ${plainText(deployment.reason.message)}`, "red"]]);
    lines.push([
      [`${rollback.id}  ${titleText(rollback)}`, "bold"],
      [`  ${stateText(rollback)}`, stateStyle(rollback.outcome ?? rollback.state)],
    ]);
  }
  lines.push(progressLine(picture));
  const style = active.state === "held" ? "yellow" : "dim";
  for (const part of wrapped(plainText(active.why.sentence), space.columns - marginColumns))
    lines.push([[part, style]]);
  return lines.map((line) => lineText(line, space));
}

function progressLine(picture: RolloutPicture): Segment[] {
  const { counts, failureThreshold } = activeOf(picture);
  const done = counts.succeeded + counts.notNeeded;
  const share = (part: number) => (counts.total === 0 ? 0 : Math.round((part / counts.total) * barCells));
  const doneCells = share(done);
  const failedCells = Math.min(share(counts.failed), barCells - doneCells);
  const movingCells = Math.min(share(counts.inFlight), barCells - doneCells - failedCells);
  const rest = [
    `${counts.inFlight} in flight`,
    `${counts.waiting} waiting`,
    ...(counts.unreachable > 0 ? [`${counts.unreachable} unreachable`] : []),
  ];
  return [
    ["█".repeat(doneCells), "green"],
    ["█".repeat(failedCells), "red"],
    ["▒".repeat(movingCells), "cyan"],
    ["░".repeat(barCells - doneCells - failedCells - movingCells), "dim"],
    [`  ${done} of ${counts.total} done`],
    [` · ${rest.join(" · ")}`],
    [` · ${counts.failed} failed (ends at ${failureThreshold})`, counts.failed > 0 ? "red" : undefined],
  ];
}

function instanceLines(picture: RolloutPicture, room: number, space: ViewSpace): string[] {
  const all = picture.instances.map((instance) => ({ instance, standing: standingOf(instance, picture) }));
  const shown = all.length <= room ? all : mostTelling(all, room - 1);
  const nameWidth = Math.min(
    nameWidthMax,
    widest(shown, ({ instance }) => instance.id),
  );
  const versionWidth = Math.min(
    versionWidthMax,
    widest(shown, ({ instance }) => versionsText(instance)),
  );
  const lines = shown.map(({ instance, standing }) =>
    lineText(instanceSegments(instance, standing, nameWidth, versionWidth), space),
  );
  const hidden = all.filter((row) => !shown.includes(row));
  return hidden.length === 0 ? lines : [...lines, lineText([[hiddenText(hidden), "dim"]], space)];
}

/** Where not all fit: what failed and what moves first, still in the order of their names. */
function mostTelling<Row extends { readonly standing: Standing }>(rows: readonly Row[], room: number): Row[] {
  const chosen = new Set(
    rows.toSorted((one, other) => looks[one.standing].rank - looks[other.standing].rank).slice(0, room),
  );
  return rows.filter((row) => chosen.has(row));
}

function hiddenText(hidden: readonly { readonly standing: Standing }[]): string {
  const counts = new Map<Standing, number>();
  for (const { standing } of hidden) counts.set(standing, (counts.get(standing) ?? 0) + 1);
  const parts = [...counts].map(([standing, count]) => `${count} ${standing}`);
  return `  … and ${countText(hidden.length, "instance")} more: ${parts.join(", ")}`;
}

function instanceSegments(
  instance: InstanceView,
  standing: Standing,
  nameWidth: number,
  versionWidth: number,
): Segment[] {
  const { glyph, style } = looks[standing];
  return [
    [`  ${glyph} `, style],
    [cut(instance.id, nameWidth).padEnd(nameWidth + 2)],
    [
      cut(versionsText(instance), versionWidth).padEnd(versionWidth + 2),
      standing === "moving" ? undefined : "dim",
    ],
    ...statusSegments(instance, standing, style),
  ];
}

function statusSegments(instance: InstanceView, standing: Standing, style: Style): Segment[] {
  const { phase, progress, note, reason, status } = instance;
  const words = (hasHeard(instance) ? (phase ?? "told") : "told").padEnd(17);
  switch (standing) {
    case "moving":
      return [[words, style], ...(hasHeard(instance) ? progressSegments(progress, note, style) : [])];
    case "failed":
      return [
        ["failed".padEnd(17), style],
        [reason === null ? "" : plainText(`${reason.code}: ${reason.message}`), "red"],
      ];
    case "done":
    case "back":
      return [
        [standing.padEnd(17), style],
        [status, statusStyle(status)],
        [instance.port === null ? "" : `  port ${instance.port}`, "dim"],
      ];
    default:
      return [
        [standing.padEnd(17), style],
        [status === "HEALTHY" ? "" : status, statusStyle(status)],
      ];
  }
}

function progressSegments(progress: number, note: string, style: Style): Segment[] {
  return [[miniBar(progress), style], [` ${String(progress).padStart(3)} %  `], [plainText(note), "dim"]];
}

function miniBar(percent: number): string {
  const full = Math.round(Math.min(100, Math.max(0, percent)) / 10);
  return `${"▪".repeat(full)}${"·".repeat(10 - full)}`;
}

function versionsText({ running, desired, claim }: InstanceView): string {
  return claim === "waiting" ? versionCell(running) : wayText(running, desired);
}

function stateStyle(word: string): Style {
  if (word === "completed" || word === "rolled_back") return "green";
  if (word === "paused" || word === "held") return "yellow";
  return word === "rolling" || word === "preparing" || word === "finished" ? "cyan" : "red";
}

function statusStyle(status: InstanceView["status"]): Style {
  return ({ HEALTHY: "green", DEGRADED: "yellow", FAILED: "red", UNKNOWN: "yellow" } as const)[status];
}

type Segment = readonly [text: string, style?: Style | undefined];

/** One line, cut where the terminal ends: a line that wraps would spoil the redrawing. */
function lineText(segments: readonly Segment[], { columns, paint }: ViewSpace): string {
  let room = Math.max(1, columns - marginColumns);
  const parts: string[] = [];
  for (const [text, style] of segments) {
    if (room <= 0 || text === "") continue;
    const visible = cut(text, room);
    room -= [...visible].length;
    parts.push(style === undefined ? visible : paint(style, visible));
  }
  return parts.join("").trimEnd();
}

/** The sentence that says why is not cut before it has had some lines. */
function wrapped(sentence: string, width: number): string[] {
  const lines = [""];
  for (const word of sentence.split(" ")) {
    const line = lines.at(-1) ?? "";
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= width || line === "" || lines.length === whyLinesMax)
      lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`;
}

function widest<Row>(rows: readonly Row[], text: (row: Row) => string): number {
  return Math.max(0, ...rows.map((row) => [...text(row)].length));
}
