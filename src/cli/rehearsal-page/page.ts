import { durationText } from "../../contracts/duration.js";
import type { Moment } from "../../simulator/recorder.js";
import type { Rehearsal } from "../../simulator/rehearsal.js";
import { rehearsalRows, strategyText } from "../rehearsal-view.js";
import { countText } from "../words.js";
import { countAxis, cumulative, durationAxis, lanes, type Series, timeline } from "./charts.js";
import { escaped } from "./plot.js";

/** One run of the first strategy, for its picture. */
export interface ShownRun {
  readonly run: number;
  readonly durationMs: number;
  readonly outcome: string;
  readonly course: readonly Moment[];
}

/** The run whose duration is in the middle. */
export function middleRun({ results }: Rehearsal): number {
  const [first = []] = results;
  const byDuration = first.map((result, run) => ({ run, ...result }));
  byDuration.sort((one, other) => one.durationMs - other.durationMs || one.run - other.run);
  return byDuration[Math.ceil(byDuration.length / 2) - 1]?.run ?? 0;
}

/** The whole answer of a rehearsal as one page that needs nothing else: no script, no network. */
export function rehearsalPage(rehearsal: Rehearsal, shown: ShownRun): string {
  const { plan, instances, strategies, results } = rehearsal;
  const names = strategies.map((summary) => strategyText(summary, strategies[0]));
  const durations: Series[] = results.map((runs, index) => ({
    name: names[index] ?? "",
    values: runs.map(({ durationMs }) => durationMs),
  }));
  const radii: Series[] = results.map((runs, index) => ({
    name: names[index] ?? "",
    values: runs.filter(({ outcome }) => outcome !== "completed").map(({ ran }) => ran),
  }));
  const isAnyBad = radii.some(({ values }) => values.length > 0);
  const sections = [
    section("Compared", "", tableOf(rehearsal, names)),
    section(
      "How long it takes",
      "Which share of the runs is over after so long.",
      legendOf(names) + cumulative(durations, durationAxis(maxOf(durations), "duration"), "durations"),
    ),
    isAnyBad
      ? section(
          "How many a bad version reaches",
          "Of the runs that did not complete: which share ran the new version on at most so many instances.",
          legendOf(names) +
            cumulative(radii, countAxis(maxOf(radii), "instances that ran it"), "blast radius"),
        )
      : section("How many a bad version reaches", "Every run completed.", ""),
    section(
      `Run ${shown.run + 1} of the first`,
      `The one in the middle: ${durationText(shown.durationMs)}, ${shown.outcome}. In flight, done and failed, then a lane an instance.`,
      statesLegend +
        timeline(shown.course, { instances, durationMs: shown.durationMs }) +
        lanes(shown.course, shown),
    ),
  ];
  const title = `Rehearsal of a roll-out to ${countText(instances, "instance")}`;
  const { updateTime, failureRate, silenceRate } = plan.behaviour;
  const updates =
    typeof updateTime === "string"
      ? updateTime
      : `${countText(updateTime.samplesMs.length, "measured duration")}`;
  const lead = `${countText(plan.runs, "run")} each, seed ${plan.seed}. An update takes ${updates}; ${percent(failureRate)} of them fail${silenceRate > 0 ? `, in ${percent(silenceRate)} the instance falls silent` : ""}.`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${styles}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p class="lead">${escaped(lead)}</p>
${sections.join("\n")}
</main>
</body>
</html>
`;
}

function maxOf(series: readonly Series[]): number {
  return Math.max(1, ...series.map(({ values }) => values.reduce((max, value) => Math.max(max, value), 0)));
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

function section(title: string, lead: string, content: string): string {
  const paragraph = lead === "" ? "" : `<p>${escaped(lead)}</p>`;
  return `<section><h2>${escaped(title)}</h2>${paragraph}${content}</section>`;
}

function legendOf(names: readonly string[]): string {
  const items = names.map((name, index) => `<li><i class="key s${index}"></i>${escaped(name)}</li>`);
  return names.length < 2 ? "" : `<ul class="legend">${items.join("")}</ul>`;
}

const statesLegend = `<ul class="legend">${(
  [
    ["inFlight", "in flight"],
    ["done", "done"],
    ["failed", "failed"],
    ["back", "on its way back"],
  ] as const
)
  .map(([kind, name]) => `<li><i class="key ${kind}"></i>${name}</li>`)
  .join("")}</ul>`;

function tableOf(rehearsal: Rehearsal, names: readonly string[]): string {
  const head = names.map((name) => `<th scope="col">${escaped(name)}</th>`).join("");
  const rows = rehearsalRows(rehearsal).map(
    ({ name, cells }) =>
      `<tr><th scope="row">${escaped(name)}</th>${cells.map((cell) => `<td>${cellOf(cell)}</td>`).join("")}</tr>`,
  );
  return `<div class="wide"><table style="--columns:${names.length}"><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

/** An interval in parentheses stays together. */
function cellOf(text: string): string {
  return escaped(text).replace(/\([^)]*\)$/, "<span>$&</span>");
}

const colours = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#b58900",
  "#56b4e9",
  "#7b61a8",
  "#8c564b",
  "#5f6f7a",
  "#a0522d",
  "#2e8b57",
];
const seriesStyles = colours
  .map((colour, index) => `.line.s${index}{stroke:${colour}}.key.s${index}{background:${colour}}`)
  .join("");

const styles = `
:root{color-scheme:light dark;--ground:#fbfbfa;--card:#fff;--ink:#20242a;--soft:#626b76;--rule:#e3e5e8;--flight:#e0a526;--done:#3f9a6b;--failed:#c8473f;--back:#6a7fc1}
@media(prefers-color-scheme:dark){:root{--ground:#15181c;--card:#1c2026;--ink:#e6e8eb;--soft:#98a1ac;--rule:#2d333b;--flight:#d6a235;--done:#4fae7d;--failed:#dd655c;--back:#8295d6}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:24px;margin:0 0 4px;font-weight:600}
h2{font-size:16px;margin:0 0 4px;font-weight:600}
p{margin:0 0 12px;color:var(--soft)}
section{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:20px;margin-top:20px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 8px;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
th{font-weight:500}
td span{white-space:nowrap}
th[scope=col]{min-width:84px}
th[scope=row]{position:sticky;left:0;background:var(--card);text-align:left;color:var(--soft);font-weight:400;white-space:nowrap}
svg{display:block;width:100%;height:auto;margin-top:8px}
.grid{stroke:var(--rule)}
.tick,.label{fill:var(--soft);font-size:11px}
.line{fill:none;stroke-width:2}
.band.done,rect.done{fill:var(--done)}
.band.inFlight,rect.inFlight{fill:var(--flight)}
.band.failed,rect.failed{fill:var(--failed)}
rect.back{fill:var(--back)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;font-size:13px;color:var(--soft)}
.key{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.key.done{background:var(--done)}.key.inFlight{background:var(--flight)}.key.failed{background:var(--failed)}.key.back{background:var(--back)}
@media(max-width:640px){
main{padding:20px 12px 40px}
section{padding:14px}
table,thead,tbody{display:block;font-size:13px}
tr{display:grid;grid-template-columns:repeat(var(--columns),minmax(68px,1fr));border-bottom:1px solid var(--rule)}
th,td{border:0;padding:4px 3px}
thead td{display:none}
th[scope=col]{min-width:0}
th[scope=row]{grid-column:1/-1;justify-self:start;padding-bottom:0}
svg{overflow:visible}
tbody tr:last-child{border:0}
.tick,.label{font-size:19px}
.label{transform:translateY(9px)}
}
${seriesStyles}`;
