import { grouped } from "../../base/grouped.js";
import type { AppHistoryItem, AppReconciled, AppRow, AppView } from "../../contracts/app-api.js";
import { durationText } from "../../contracts/duration.js";
import { type Alike, alikeTogether } from "../alike.js";
import type { Paint } from "../paint.js";
import { factsText, tableText } from "../table.js";
import { agoText, countText, namesText, plainText } from "../words.js";

/** The words of `rollcall apps …`. */

/** Apps that are shown with their instances, and others by name. */
const appsShownMax = 10;
const othersShownMax = 50;
/** Reasons under the table of one app; `apps why` has each. */
const reasonsShownMax = 10;
/** Instances that share a reason, by name. */
const namesShownMax = 3;
const secondMs = 1_000;
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
  const names = namesText(unasked, appsShownMax);
  return `${table}\n\n${paint("yellow", `Nobody asked for ${names}, yet there are instances that have it: rollcall apps status`)}`;
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
  const byApp = grouped(items, ({ app }) => app);
  const apps = [...byApp.values()];
  const tables = apps.slice(0, appsShownMax).map((rows) => appStatusText(rows, asOf, paint));
  const others = [...byApp.keys()].slice(appsShownMax);
  const also = others.length === 0 ? [] : [`Nor are these as asked: ${namesText(others, othersShownMax)}.`];
  const sum = `${countText(counts.total, "pair")} of app and instance: ${counts.inSync} as asked, ${counts.mismatched} not, ${counts.unheard} not heard.${unaskedText(unasked)}`;
  const left =
    more || others.length > 0
      ? " There are more than are shown: narrow it by APP or --instance, or take --json."
      : !all && counts.total + unasked > items.length
        ? " --all shows all."
        : "";
  return [...tables, ...also, `${sum}${left}`].join("\n\n");
}

function unaskedText(unasked: number): string {
  if (unasked === 0) return "";
  return ` Besides, ${countText(unasked, "pair")} that nobody asked for.`;
}

function appStatusText(rows: readonly AppRow[], asOf: number, paint: Paint): string {
  const [first] = rows;
  if (first === undefined) return "";
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
  return [paint("bold", lead), table, ...leftOutLines(rows), ...reasonLines(rows)].join("\n");
}

/** What comes next where something is to come: what has stopped goes on when somebody asks or changes it. */
function nextText({ nextAttemptAtMs, rule }: AppRow, asOf: number): string {
  if (rule === "working") return "at it";
  if (rule === "stopped") return "if asked";
  if (nextAttemptAtMs === null) return "-";
  const inMs = nextAttemptAtMs - asOf;
  return inMs < secondMs ? "now" : durationText(inMs);
}

/** Of each cause, how many more there are than have a line. */
function leftOutLines(rows: readonly AppRow[]): string[] {
  return [...grouped(rows, ({ cause }) => cause?.name ?? "").values()].flatMap((alike) => {
    const [{ app, cause } = { app: "", cause: undefined }] = alike;
    const left = (cause?.instances ?? 0) - alike.length;
    if (cause === undefined || left <= 0) return [];
    return [`and ${countText(left, "more instance")}, ${cause.name}: rollcall apps status ${app} --all`];
  });
}

/** Each reason once, with who has it. */
function reasonLines(rows: readonly AppRow[]): string[] {
  const odd = rows.filter(({ inSync }) => inSync !== true);
  const reasons = grouped(odd, ({ inSync, reason, why }) =>
    // What has no reason is told as it is there, with its own name.
    inSync === false && reason !== null ? `${reason.code}: ${reason.message}` : why,
  );
  const lines = [...reasons]
    .sort(([, one], [, other]) => other.length - one.length)
    .map(([text, alike]) => {
      const names = alike.map(({ instanceId }) => instanceId);
      return plainText(alike[0]?.why === text ? text : `${namesText(names, namesShownMax)}: ${text}`);
    });
  const left = lines.length - reasonsShownMax;
  if (left <= 0) return lines;
  return [
    ...lines.slice(0, reasonsShownMax),
    `and ${countText(left, "other reason")}: rollcall apps why has each`,
  ];
}

/** The newest so many lines; what many instances came to alike is one. */
export function historyText(items: readonly AppHistoryItem[], linesMax: number, paint: Paint): string {
  return historyLines(items)
    .slice(-linesMax)
    .map(({ first, count, sentence }) => {
      const where = count > 1 ? countText(count, "instance") : (first.instance ?? "fleet");
      const by = count > 1 || first.by === null ? "" : paint("dim", plainText(`  by ${first.by}`));
      return `${paint("dim", timeText(first.atMs))}  ${where.padEnd(13)}  ${plainText(sentence)}${by}`;
    })
    .join("\n");
}

export function historyLines(items: readonly AppHistoryItem[]): Alike<AppHistoryItem>[] {
  return alikeTogether(items, (item) => ({ ...item, object: "" }));
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
