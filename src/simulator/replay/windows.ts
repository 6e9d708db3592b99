import type { RecordedCase } from "./case-book.js";
import type { Window } from "./compared-time.js";

/** Silence is noticed about so much earlier or later than it was. */
const aroundHoldMs = 3_000;
/** In which a new leader listens, and hears everybody. */
const listenMs = 5_000;

/** Stretches in which only the writing takes time, in which nobody led, or that begin by silence, which is not in the log. */
export function windowsOf({ events, takeovers, ledSinceMs }: RecordedCase): Window[] {
  const windows: Window[] = takeovers.map(({ fromMs, atMs }) => ({ fromMs, toMs: atMs + listenMs }));
  if (ledSinceMs !== null) windows.push({ fromMs: ledSinceMs, toMs: ledSinceMs + listenMs });
  const opened = new Map<string, number>();
  for (const { type, id, atMs } of events) {
    if (type === "deployment.held" || type === "deployment.released" || type === "deployment.unforced")
      windows.push({ fromMs: atMs - aroundHoldMs, toMs: atMs + aroundHoldMs });
    if (type === "deployment.created" || type === "deployment.completing" || type === "deployment.reverting")
      opened.set(id, atMs);
    const fromMs = opened.get(id);
    if (fromMs === undefined || (type !== "deployment.started" && type !== "deployment.finished")) continue;
    windows.push({ fromMs, toMs: atMs });
    opened.delete(id);
  }
  return windows;
}
