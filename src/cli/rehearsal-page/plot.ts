/** The frame of a chart as SVG text: axes, ticks, and where a value stands. */

const widthPx = 720;
const margin = { top: 10, right: 16, bottom: 40, left: 52 };

export interface Axis {
  readonly max: number;
  readonly label: string;
  /** The distances at which ticks may stand, small to large. */
  readonly steps: readonly number[];
  text(value: number): string;
}

export interface Plot {
  x(value: number): number;
  y(value: number): number;
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
}

const ticksMax = 7;

function ticksOf({ max, steps }: Axis): number[] {
  const fitting = steps.find((step) => max / step <= ticksMax);
  const step = fitting ?? Math.max(1, Math.ceil(max / ticksMax));
  const ticks: number[] = [];
  for (let value = 0; value <= max * 1.0001; value += step) ticks.push(value);
  return ticks;
}

export const secondsSteps: readonly number[] = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 172_800, 604_800,
].map((seconds) => seconds * 1_000);

export const countSteps: readonly number[] = [0, 1, 2, 3, 4, 5].flatMap((power) =>
  [1, 2, 5].map((digit) => digit * 10 ** power),
);

/** Safe inside of an element and of an attribute. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** A chart of its own: `draw` puts into the frame what it is about. */
export function plotted(
  { heightPx, x, y, about }: { heightPx: number; x: Axis; y: Axis; about: string },
  draw: (plot: Plot) => string,
): string {
  const bottom = heightPx - margin.bottom;
  const right = widthPx - margin.right;
  const plot: Plot = {
    x: (value) => round(margin.left + (value / Math.max(x.max, Number.EPSILON)) * (right - margin.left)),
    y: (value) => round(bottom - (value / Math.max(y.max, Number.EPSILON)) * (bottom - margin.top)),
    left: margin.left,
    right,
    bottom,
  };
  const grid = [
    ...ticksOf(y).map(
      (value) =>
        `<line class="grid" x1="${plot.left}" x2="${right}" y1="${plot.y(value)}" y2="${plot.y(value)}"/>` +
        `<text class="tick" x="${plot.left - 8}" y="${plot.y(value) + 4}" text-anchor="end">${escaped(y.text(value))}</text>`,
    ),
    ...ticksOf(x).map(
      (value) =>
        `<text class="tick" x="${plot.x(value)}" y="${bottom + 18}" text-anchor="middle">${escaped(x.text(value))}</text>`,
    ),
    `<text class="label" x="${right}" y="${bottom + 34}" text-anchor="end">${escaped(x.label)}</text>`,
  ];
  return `<svg viewBox="0 0 ${widthPx} ${heightPx}" role="img" aria-label="${escaped(about)}">${grid.join("")}${draw(plot)}</svg>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
