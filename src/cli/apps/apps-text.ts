import type { AppHistoryItem, AppReconciled, AppRow, AppView } from "../../contracts/app-api.js";
import { durationText } from "../../contracts/duration.js";
import type { Paint } from "../paint.js";
import { factsText, tableText } from "../table.js";
import { agoText, countText, plainText } from "../words.js";

/** The words of `rollcall apps …`. */

/** Apps that are shown, and of each, where there are several, so many instances. */
const appsShownMax = 10;
const rowsShownMax = 20;
/** Reasons under the table of one app; `apps why` has each. */
const reasonsShownMax = 10;
/** Instances that share a reason, by name. */
const namesShownMax = 3;
/** Changes of a long settings text are not for a terminal. */
const settingsCharactersMax = 200;

/** @param unasked names of apps that instances have and nobody asked for */
export function appsText(
  apps: readonly AppView[],
  unasked: readonly string[],
  asOf: number,
  paint: Paint,
): string {
  const none = "There are no apps yet: rollcall apps add APP VERSION";
  const table = apps.length === 0 ? none : appsTable(apps, asOf, paint);
  if (unasked.length === 0) return table;
  const names = unasked.slice(0, appsShownMax).join(", ");
  const others = unasked.length > appsShownMax ? ` and ${unasked.length - appsShownMax} more` : "";
  return `${table}\n\n${paint("yellow", `Nobody asked for ${names}${others}, yet there are instances that have it: rollcall apps status`)}`;
}

function appsTable(apps: readonly AppView[], asOf: number, paint: Paint): string {
  return tableText(
    apps,
    [
      { head: "APP", cell: ({ app }) => app },
      { head: "VERSION", cell: ({ content }) => content.version },
      { head: "WANTED", cell: ({ desiredStatus }) => desiredStatus },
      {
        head: "AS ASKED",
        right: true,
        cell: ({ counts }) => `${counts.inSync}/${counts.total}`,
        paint: (text, { counts }) => (counts.mismatched > 0 ? paint("red", text) : text),
      },
      { head: "NOT HEARD", right: true, cell: ({ counts }) => String(counts.unheard) },
      { head: "CHANGED", cell: ({ changed }) => `${agoText(changed.atMs, asOf)} by ${changed.by}` },
    ],
    paint,
  );
}

export function appText(view: AppView, paint: Paint): string {
  const { counts, conditions, content, changed, added } = view;
  const settings = JSON.stringify(content.settings);
  const condition = ({ status, sinceMs, sentence }: AppView["conditions"]["Ready"]) =>
    `${status ? "yes" : "no"}${sinceMs === null ? "" : `, since ${timeText(sinceMs)}`}: ${sentence}`;
  return factsText(
    [
      ["app", view.app],
      ["wanted", `${view.desiredStatus} (generation ${view.generation})`],
      ["version", content.version],
      ["source", content.source ?? "-"],
      [
        "settings",
        settings.length > settingsCharactersMax
          ? `${settings.slice(0, settingsCharactersMax)}… (--json has all)`
          : settings,
      ],
      [
        "instances",
        `${counts.inSync} as asked, ${counts.mismatched} not, ${counts.unheard} not heard, of ${counts.total}`,
      ],
      ["ready", condition(conditions.Ready)],
      ["in sync", condition(conditions.InSync)],
      ["reconciling", condition(conditions.Reconciling)],
      ["status of old", view.status],
      ["added", markText(added)],
      ["changed", markText(changed)],
      ["why", view.why.sentence],
    ],
    paint,
  );
}

function markText({ by, atMs, reason }: AppView["changed"]): string {
  return `${timeText(atMs)} by ${by}${reason === null ? "" : `: ${reason}`}`;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}

export interface StatusPage {
  readonly items: readonly AppRow[];
  readonly counts: AppView["counts"];
  readonly unasked?: number | undefined;
  readonly asOf: number;
  readonly more: boolean;
}

/** Apps × instances: a table an app, its reasons under it, and what all comes to at the end. */
export function statusText(
  { items, counts, unasked = 0, asOf, more }: StatusPage,
  all: boolean,
  paint: Paint,
): string {
  if (counts.total + items.length === 0)
    return "There is nothing to show: no app, or no instance with apps yet.";
  const byApp = new Map<string, AppRow[]>();
  for (const row of items) byApp.set(row.app, [...(byApp.get(row.app) ?? []), row]);
  const apps = [...byApp.values()];
  const isOne = apps.length === 1;
  const tables = apps
    .slice(0, appsShownMax)
    .map((rows) => appStatusText(rows, isOne ? rows.length : rowsShownMax, asOf, paint));
  const sum = `${countText(counts.total, "pair")} of app and instance: ${counts.inSync} as asked, ${counts.mismatched} not, ${counts.unheard} not heard.${unaskedText(unasked)}`;
  const isCut =
    more || apps.length > appsShownMax || (!isOne && apps.some((rows) => rows.length > rowsShownMax));
  const left = isCut
    ? " There are more than are shown: narrow it by APP or --instance, or take --json."
    : !all && counts.total + unasked > items.length
      ? " --all shows all."
      : "";
  return [...tables, `${sum}${left}`].join("\n\n");
}

function unaskedText(unasked: number): string {
  if (unasked === 0) return "";
  return ` Besides, ${countText(unasked, "pair")} that nobody asked for.`;
}

function appStatusText(all: readonly AppRow[], rowsMax: number, asOf: number, paint: Paint): string {
  const [first] = all;
  if (first === undefined) return "";
  const rows = all.slice(0, rowsMax);
  const lead =
    first.desiredStatus === null
      ? `${first.app}: nobody asked for it`
      : `${first.app} is to be ${first.desiredStatus}, generation ${first.generation}`;
  const table = tableText(
    rows,
    [
      { head: "INSTANCE", cell: ({ instanceId }) => instanceId },
      {
        head: "IS",
        cell: ({ initStatus }) => initStatus,
        paint: (text, { inSync }) => paint(inSync === null ? "yellow" : inSync ? "green" : "red", text),
      },
      {
        head: "NOT SO FOR",
        cell: ({ mismatchSinceMs }) =>
          mismatchSinceMs === null ? "-" : durationText(asOf - mismatchSinceMs),
      },
      { head: "TRIES", right: true, cell: ({ attempts }) => String(attempts) },
      { head: "NEXT", right: true, cell: (row) => nextText(row, asOf) },
      { head: "", cell: ({ alerted }) => (alerted ? "alert" : "") },
    ],
    paint,
  );
  const more = all.length > rowsMax ? [`and ${countText(all.length - rowsMax, "more instance")}`] : [];
  return [paint("bold", lead), table, ...more, ...reasonLines(all)].join("\n");
}

function nextText({ nextAttemptAtMs }: AppRow, asOf: number): string {
  if (nextAttemptAtMs === null) return "-";
  return nextAttemptAtMs <= asOf ? "now" : durationText(nextAttemptAtMs - asOf);
}

/** Each reason once, with who has it. */
function reasonLines(rows: readonly AppRow[]): string[] {
  const by = new Map<string, string[]>();
  for (const row of rows) {
    if (row.inSync === true) continue;
    const text =
      row.inSync === false && row.reason !== null ? `${row.reason.code}: ${row.reason.message}` : "";
    // What has no reason is told as it is there, with its own name.
    const key = text === "" ? row.why : text;
    by.set(key, [...(by.get(key) ?? []), ...(text === "" ? [] : [row.instanceId])]);
  }
  const lines = [...by].map(([text, names]) => {
    const shown = names.slice(0, namesShownMax).join(", ");
    const others = names.length > namesShownMax ? ` and ${names.length - namesShownMax} more` : "";
    return plainText(names.length === 0 ? text : `${shown}${others}: ${text}`);
  });
  const left = lines.length - reasonsShownMax;
  return left > 0
    ? [
        ...lines.slice(0, reasonsShownMax),
        `and ${countText(left, "other reason")}: rollcall apps why has each`,
      ]
    : lines;
}

export function historyLine(item: AppHistoryItem, paint: Paint): string {
  const where = item.instance ?? "fleet";
  const by = item.by === null ? "" : paint("dim", plainText(`  by ${item.by}`));
  return `${paint("dim", timeText(item.atMs))}  ${where.padEnd(12)}  ${plainText(item.sentence)}${by}`;
}

export function reconciledText({ found, told, retried, left, unreachable, byCause }: AppReconciled): string {
  if (found + told === 0) return "Everything that is heard is as asked.";
  const causes = Object.entries(byCause)
    .sort(([, one], [, other]) => other - one)
    .map(([code, count]) => `${count} × ${code}`);
  return [
    ...(told === 0 ? [] : [`${countText(told, "app is", "apps are")} told to this ledger's instances now.`]),
    `${countText(found, "pair")} of app and instance ${found === 1 ? "was" : "were"} not as asked: ${retried} tried again now, ${left} at it anyway.`,
    ...(causes.length === 0 ? [] : [`Causes: ${causes.join(", ")}.`]),
    ...(unreachable.length === 0 ? [] : [`No answer from ${unreachable.join(", ")}.`]),
  ].join("\n");
}
