import { userInfo } from "node:os";
import type { Command } from "commander";
import type { CliIo } from "./cli-io.js";
import type { ExitCode } from "./exit-codes.js";
import type { GlobalOptions } from "./global-options.js";
import { type Paint, paintFor } from "./paint.js";
import { type Session, withSession } from "./session.js";

const requesterCharactersMax = 128;

/** What every command of one run shares. */
export class Cli {
  readonly io: CliIo;
  readonly paint: Paint;
  #exitCode: ExitCode = 0;

  constructor(io: CliIo) {
    this.io = io;
    this.paint = paintFor(io.stdout, io.env);
  }

  get exitCode(): ExitCode {
    return this.#exitCode;
  }

  /** What the process ends with once everything is written. */
  endWith(code: ExitCode): void {
    this.#exitCode = code;
  }

  globals(command: Command): GlobalOptions {
    return command.optsWithGlobals<GlobalOptions>();
  }

  isJson(command: Command): boolean {
    return this.globals(command).json === true;
  }

  session<T>(command: Command, work: (session: Session) => Promise<T>): Promise<T> {
    return withSession(this.globals(command), this.io, work);
  }

  /** The control plane's reply as it is with `--json`, else in words. */
  show<T>(command: Command, reply: T, words: (reply: T) => string): void {
    this.write(this.isJson(command) ? JSON.stringify(reply, null, 2) : words(reply));
  }

  write(text: string): void {
    this.io.stdout.write(`${text}\n`);
  }

  /** Who asks, for the audit log. */
  get requester(): string {
    const name = nonEmpty(this.io.env.ROLLCALL_USER) ?? userName() ?? nonEmpty(this.io.env.USER) ?? "unknown";
    return name.slice(0, requesterCharactersMax);
  }
}

/** A user id without a name has none: in containers that is common. */
function userName(): string | undefined {
  try {
    return nonEmpty(userInfo().username);
  } catch {
    return undefined;
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** Adds examples under the help of a command. */
export function withExamples(command: Command, ...examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return command.addHelpText(
    "after",
    `\n${lines.length === 1 ? "Example" : "Examples"}:\n${lines.join("\n")}`,
  );
}
