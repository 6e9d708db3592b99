import { userInfo } from "node:os";
import type { Command } from "commander";
import { copySchema } from "../contracts/answer-source.js";
import { durationText } from "../contracts/duration.js";
import type { CliIo } from "./cli-io.js";
import type { ExitCode } from "./exit-codes.js";
import type { GlobalOptions } from "./global-options.js";
import { type Paint, paintFor } from "./paint.js";
import { type Session, withSession } from "./session.js";

const requesterCharactersMax = 128;
/** A copy hears each second that it has everything. */
const copyAgeShownMs = 1_500;

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
    if (this.isJson(command)) this.write(JSON.stringify(reply, null, 2));
    else for (const text of [words(reply), ...this.#ageOf(reply)]) this.write(text);
  }

  /** A line about an answer that is older than it looks: it came from a follower that could not keep up. */
  #ageOf(reply: unknown): string[] {
    const copy = copySchema.safeParse((reply as { readonly copy?: unknown } | null)?.copy).data;
    if (copy === undefined || copy.ageMs < copyAgeShownMs) return [];
    const { ageMs, of, leader } = copy;
    const led = leader === null ? "nobody leads" : `${leader} leads`;
    return [this.paint("dim", `as of ${durationText(ageMs)} ago, from ${of}'s copy: ${led}`)];
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
