import { type Command, Option } from "commander";
import { isLogLevel, type LogLevel, logLevels } from "../base-node/log.js";
import type { CliIo } from "./cli-io.js";
import { usageError } from "./usage-error.js";

/** The options that every command takes, before or after its name. */
export interface GlobalOptions {
  readonly nats?: string;
  readonly user?: string;
  readonly password?: string;
  readonly inboxPrefix?: string;
  readonly fleet?: string;
  readonly data?: string;
  readonly json?: boolean;
  readonly logLevel?: LogLevel;
}

export function addGlobalOptions(program: Command): Command {
  return program
    .option("--nats <url>", "address of the NATS server, nats://host:port (env NATS_URL)")
    .option("--user <name>", "user at the NATS server (env NATS_USER)")
    .option("--password <password>", "password at the NATS server (better: env NATS_PASSWORD)")
    .option("--inbox-prefix <prefix>", "where answers go (env NATS_INBOX_PREFIX; else _INBOX_<user>)")
    .option("--fleet <name>", 'the fleet (env ROLLCALL_FLEET; else the one of rollcall up, else "default")')
    .option("--data <dir>", "folder of state (env ROLLCALL_DATA; else ./.rollcall)")
    .option("--json", "answer in JSON, errors included")
    .addOption(
      new Option(
        "--log-level <level>",
        "what is logged to the standard error (env ROLLCALL_LOG_LEVEL)",
      ).choices(logLevels),
    );
}

/** @param fallback `error` for a command that ends, which says itself what went wrong; `info` for one that stays */
export function logLevelOf(options: GlobalOptions, { env }: CliIo, fallback: LogLevel): LogLevel {
  const wanted = options.logLevel ?? env.ROLLCALL_LOG_LEVEL ?? "";
  if (wanted === "") return fallback;
  if (!isLogLevel(wanted))
    throw usageError(`ROLLCALL_LOG_LEVEL is ${JSON.stringify(wanted)}: give one of ${logLevels.join(", ")}.`);
  return wanted;
}
