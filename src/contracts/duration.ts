const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** How long something takes or is ago, in the two largest units: `850 ms`, `4s`, `4m12s`, `2h05m`, `3d4h`. */
export function durationText(ms: number): string {
  if (ms < 0) return "0s";
  if (ms < secondMs) return `${Math.round(ms)} ms`;
  if (ms < minuteMs) return `${Math.floor(ms / secondMs)}s`;
  if (ms < hourMs) return pair(ms, minuteMs, "m", secondMs, "s", 2);
  if (ms < dayMs) return pair(ms, hourMs, "h", minuteMs, "m", 2);
  return pair(ms, dayMs, "d", hourMs, "h", 1);
}

function pair(
  ms: number,
  largeMs: number,
  large: string,
  smallMs: number,
  small: string,
  digits: number,
): string {
  const rest = Math.floor((ms % largeMs) / smallMs);
  return `${Math.floor(ms / largeMs)}${large}${rest === 0 ? "" : `${String(rest).padStart(digits, "0")}${small}`}`;
}

/** How long ago something was: `just now`, `4s ago`. */
export function ageText(ageMs: number): string {
  return ageMs < secondMs ? "just now" : `${durationText(ageMs)} ago`;
}
