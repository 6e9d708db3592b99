import { pino, stdSerializers, stdTimeFunctions } from "pino";
import type { Log } from "../base/ports.js";

export const logLevels = ["silent", "error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly level: LogLevel;
  /** Appended to; default: the standard error. Never the standard output, which belongs to the command. */
  readonly file?: string | undefined;
  /** In every line: which program wrote it. */
  readonly name: string;
}

/** Structured logging by pino: one JSON object a line, written before the call returns, so that a crash loses none. */
export function createLog({ level, file, name }: LogOptions): Log {
  return pino(
    {
      level,
      name,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err, err: stdSerializers.err },
    },
    pino.destination({ dest: file ?? 2, sync: true, mkdir: true, append: true }),
  );
}

export function isLogLevel(text: string): text is LogLevel {
  return logLevels.some((level) => level === text);
}
