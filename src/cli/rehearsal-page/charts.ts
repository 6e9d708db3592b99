import { durationText } from "../../contracts/duration.js";
import type { Moment } from "../../simulator/recorder.js";
import { type Axis, countSteps, plotted, secondsSteps } from "./plot.js";

export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

const shareAxis: Axis = {
  max: 1,
  label: "",
  steps: [0.25],
  text: (value) => `${Math.round(value * 100)} %`,
};

export function durationAxis(maxMs: number, label: string): Axis {
  return { max: maxMs, label, steps: secondsSteps, text: (ms) => (ms === 0 ? "0" : durationText(ms)) };
}

export function countAxis(max: number, label: string): Axis {
  return { max: Math.max(1, max), label, steps: countSteps, text: String };
}

/** For each series, which share of its values is at most so large. Says more than bars do, and many fit into one frame. */
export function cumulative(series: readonly Series[], x: Axis, about: string): string {
  return plotted({ heightPx: 240, x, y: shareAxis, about }, (plot) =>
    series
      .map(({ values }, index) => {
        const sorted = values.toSorted((one, other) => one - other);
        let path = `M${plot.x(0)} ${plot.y(0)}`;
        for (const [place, value] of sorted.entries())
          path += `H${plot.x(value)}V${plot.y((place + 1) / sorted.length)}`;
        return sorted.length === 0 ? "" : `<path class="line s${index}" d="${path}H${plot.right}"/>`;
      })
      .join(""),
  );
}

/** How many were in flight, done or failed at each moment. */
interface Standing {
  readonly atMs: number;
  readonly inFlight: number;
  readonly done: number;
  readonly failed: number;
}

type State = "inFlight" | "done" | "failed";
const stateAfter: Readonly<Record<Moment["step"], State>> = {
  told: "inFlight",
  succeeded: "done",
  failed: "failed",
};

function standingsOf(course: readonly Moment[]): Standing[] {
  const counts: Record<State, number> = { inFlight: 0, done: 0, failed: 0 };
  const states = new Map<string, State>();
  const standings: Standing[] = [{ atMs: 0, ...counts }];
  for (const { atMs, instance, step } of course) {
    const before = states.get(instance);
    const after = stateAfter[step];
    if (before !== undefined) counts[before]--;
    counts[after]++;
    states.set(instance, after);
    if (standings.at(-1)?.atMs === atMs) standings.pop();
    standings.push({ atMs, ...counts });
  }
  return standings;
}

/** More points than this cannot be told apart. */
const pointsMax = 600;

/** What of the fleet was in flight, done or failed over the time of one run, one upon the other. */
export function timeline(
  course: readonly Moment[],
  { instances, durationMs }: { instances: number; durationMs: number },
): string {
  const all = standingsOf(course);
  const every = Math.ceil(all.length / pointsMax);
  const points = all.filter((_, index) => index % every === 0 || index === all.length - 1);
  const x = durationAxis(durationMs, "since the deployment was made");
  const y = countAxis(instances, "");
  const bands = [
    ["done", ({ done }: Standing) => [0, done]],
    ["inFlight", ({ done, inFlight }: Standing) => [done, done + inFlight]],
    ["failed", ({ done, inFlight, failed }: Standing) => [done + inFlight, done + inFlight + failed]],
  ] as const;
  return plotted({ heightPx: 240, x, y, about: "instances in flight, done and failed over time" }, (plot) =>
    bands
      .map(([name, edges]) => {
        const upper = points.map((point) => `${plot.x(point.atMs)} ${plot.y(edges(point)[1] ?? 0)}`);
        const lower = points.map((point) => `${plot.x(point.atMs)} ${plot.y(edges(point)[0] ?? 0)}`);
        return `<path class="band ${name}" d="M${[...upper, ...lower.toReversed()].join("L")}Z"/>`;
      })
      .join(""),
  );
}

/** Lanes that can be told apart; of a larger fleet each so manieth instance has one. */
const lanesMax = 240;

/** A lane an instance, from the first told to the last: on its way, done, failed, on its way back. */
export function lanes(course: readonly Moment[], { durationMs }: { durationMs: number }): string {
  const byInstance = new Map<string, Moment[]>();
  for (const moment of course) {
    const moments = byInstance.get(moment.instance) ?? [];
    moments.push(moment);
    byInstance.set(moment.instance, moments);
  }
  const every = Math.ceil(byInstance.size / lanesMax);
  const shown = [...byInstance.values()].filter((_, index) => index % every === 0);
  const lanePx = Math.max(2, Math.min(14, Math.floor(480 / Math.max(1, shown.length))));
  const heightPx = shown.length * lanePx + 50;
  const x = durationAxis(durationMs, "since the deployment was made");
  const y = { ...countAxis(shown.length, ""), steps: [], text: () => "" };
  return plotted(
    { heightPx, x, y: { ...y, steps: [shown.length + 1] }, about: "each instance over time" },
    (plot) =>
      shown
        .map((moments, lane) => {
          const top = plot.bottom - (shown.length - lane) * lanePx;
          const gapPx = lanePx > 4 ? 1 : 0;
          return moments
            .map((moment, index) => {
              const from = plot.x(moment.atMs);
              const to = plot.x(moments[index + 1]?.atMs ?? durationMs);
              const kind = moment.step === "told" && moment.back ? "back" : stateAfter[moment.step];
              const width = Math.max(0.4, Math.round((to - from) * 10) / 10);
              return `<rect class="${kind}" x="${from}" y="${top}" width="${width}" height="${lanePx - gapPx}"/>`;
            })
            .join("");
        })
        .join(""),
  );
}
