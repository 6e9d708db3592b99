import type { Log } from "../../src/base/ports.js";

function quiet(): void {
  // What goes well is not of interest here, and writing it down would be measured too.
}

function loud(facts: object, sentence: string): void {
  process.stderr.write(`${sentence} ${JSON.stringify(facts)}\n`);
}

/** Says what goes wrong on the standard error. */
export const stderrLog: Log = { debug: quiet, info: quiet, warn: loud, error: loud, child: () => stderrLog };
