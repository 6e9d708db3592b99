import type { Clock, Log } from "../base/ports.js";

/** Warnings and errors on the standard error, a JSON object a line: what a service that says nothing else is looked at for. */
export function createStderrLog(clock: Pick<Clock, "nowMs">, name: string, bound: object = {}): Log {
  const write = (level: string) => (facts: object, msg: string) => {
    const time = new Date(clock.nowMs()).toISOString();
    process.stderr.write(`${JSON.stringify({ level, time, name, ...bound, ...facts, msg })}\n`);
  };
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: write("warn"),
    error: write("error"),
    child: (facts) => createStderrLog(clock, name, { ...bound, ...facts }),
  };
}
