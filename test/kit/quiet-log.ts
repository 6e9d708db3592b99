import type { Log } from "../../src/base/ports.js";

function nothing(): void {
  // A test that expects a line collects it by a log of its own.
}

/** A log that nobody reads. */
export const quietLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => quietLog,
};
