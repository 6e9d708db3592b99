import type { Difference, Side } from "../simulator/replay/differences.js";
import { timeOf } from "../simulator/replay/differences.js";
import type { Replay, ReplayedDeployment } from "../simulator/replay/replay.js";
import type { Paint } from "./paint.js";
import { tableText } from "./table.js";
import { countText } from "./words.js";

/** Differences of one deployment that are shown; `--json` has all. */
const shownMax = 20;

/** What `simulate --replay --json` prints. */
export function replayJson(replay: Replay) {
  return { same: replay.deployments.every(({ differences }) => differences.length === 0), ...replay };
}

/** A table of the deployments, then what differs of each, then what the log did not say. */
export function replayText(replay: Replay, paint: Paint): string {
  const { deployments, unplayed } = replay;
  const table = tableText(
    deployments,
    [
      { head: "deployment", cell: nameOf },
      { head: "created", cell: ({ createdAtMs }) => new Date(createdAtMs).toISOString() },
      { head: "then", cell: ({ recorded }) => recorded ?? "-" },
      {
        head: "today",
        cell: ({ today }) => today ?? "-",
        paint: (text, { recorded, today }) => (recorded === today ? text : paint("red", text)),
      },
      { head: "decisions", cell: ({ decisions }) => String(decisions), right: true },
      {
        head: "different",
        cell: ({ differences }) => String(differences.length),
        right: true,
        paint: (text, { differences }) => (differences.length === 0 ? text : paint("red", text)),
      },
    ],
    paint,
  );
  const different = deployments.filter(({ differences }) => differences.length > 0);
  const remarks = [...deployments.flatMap(remarksOn), ...unplayedText(unplayed)];
  return [
    table,
    ...different.flatMap((deployment) => ["", differencesText(deployment, paint)]),
    "",
    ...remarks.map((remark) => paint("dim", remark)),
    verdictOf(deployments.length, different.length),
  ].join("\n");
}

function nameOf({ deployment, rollback }: ReplayedDeployment): string {
  return rollback === null ? deployment : `${deployment}, ${rollback}`;
}

function differencesText(deployment: ReplayedDeployment, paint: Paint): string {
  const { differences } = deployment;
  const shown = differences.slice(0, shownMax);
  const more = differences.length - shown.length;
  return [
    `${nameOf(deployment)}; what comes later may follow from the first:`,
    tableText(
      shown,
      [
        { head: "time", cell: (difference) => clockText(timeOf(difference)) },
        { head: "object", cell: ({ object }) => object },
        { head: "then", cell: ({ recorded, ...others }) => sideText(recorded, others) },
        { head: "today", cell: ({ today, ...others }) => sideText(today, others) },
      ],
      paint,
    ),
    ...(more > 0 ? [`and ${more} more, all of them by --json`] : []),
  ].join("\n");
}

/** What is decided on both sides has its time with it. */
function sideText(side: Side | null, { kind }: Pick<Difference, "kind">): string {
  if (side === null) return "nothing";
  return kind === "time" ? `${clockText(side.atMs)} ${side.sentence}` : side.sentence;
}

/** `04:30:00.123`, as events say it. */
function clockText(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

function remarksOn({ deployment, close, assumed }: ReplayedDeployment): string[] {
  const told =
    close.length === 0
      ? []
      : [
          `The turn of ${close.join(", ")} came in the moment in which ${deployment} ended or stood: whether they were told is chance.`,
        ];
  return [...told, ...assumed];
}

function unplayedText(unplayed: Replay["unplayed"]): string[] {
  return unplayed.map(({ deployment, why }) => `${deployment} is not played: ${why}.`);
}

function verdictOf(all: number, different: number): string {
  const played = `${countText(all, "deployment")} played.`;
  return different === 0
    ? `${played} Today's machines decide all of it as it was decided then.`
    : `${played} Today's machines decide ${different} of them differently.`;
}
