import { PassThrough } from "node:stream";
import type { CliIo } from "../../src/cli/cli-io.js";
import type { Runners } from "../../src/cli/commands/long-running.js";
import { runCli } from "../../src/cli/program.js";
import { createRealRandom } from "../../src/runtime/random.js";
import { createRealClock } from "../../src/runtime/real-clock.js";

export interface HereOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Its size, if the output is a terminal. */
  readonly terminal?: { readonly columns: number; readonly rows: number };
  readonly runners?: Partial<Runners>;
}

/** A run of the command line in this process: as `run-cli.ts`, without the time that a process takes to start. */
export function startHere(args: readonly string[], options: HereOptions = {}) {
  const interrupts = new Set<() => void>();
  const stdout = memoryStream(options.terminal);
  const stderr = memoryStream(undefined);
  const io: CliIo = {
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    stdout: stdout.stream,
    stderr: stderr.stream,
    clock: createRealClock(),
    random: createRealRandom(),
    onInterrupt(handle) {
      interrupts.add(handle);
      return { unsubscribe: () => void interrupts.delete(handle) };
    },
  };
  const ended = runCli(args, io, options.runners).then((code) => ({
    code,
    stdout: stdout.text(),
    stderr: stderr.text(),
  }));
  return {
    ended,
    stdout: stdout.text,
    stderr: stderr.text,
    /** Ctrl-C. */
    interrupt: () => interrupts.forEach((handle) => void handle()),
  };
}

export function runHere(args: readonly string[], options: HereOptions = {}) {
  return startHere(args, options).ended;
}

function memoryStream(terminal: { readonly columns: number; readonly rows: number } | undefined) {
  let text = "";
  const stream = new PassThrough();
  stream.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  const shaped = terminal === undefined ? stream : Object.assign(stream, { isTTY: true, ...terminal });
  return { stream: shaped as unknown as NodeJS.WriteStream, text: () => text };
}
