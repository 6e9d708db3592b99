import { RollcallError } from "../base/errors.js";
import { durationText } from "./duration.js";
import { errorCodes } from "./error-codes.js";
import type { Meaning } from "./error-meaning.js";

export type ErrorCode = keyof typeof errorCodes;

/** Fills a sentence's `{name}` places in; a place without a detail reads as `?`, and `{…Ms}` as people say a duration. */
function fillIn(sentence: string, details: Readonly<Record<string, unknown>>): string {
  return sentence.replace(/\{(\w+)\}(\.?)/g, (_, name: string, end: string) => {
    const text = textOf(name, details[name]);
    // Often it is a whole sentence.
    return /[.…]$/.test(text) ? text : text + end;
  });
}

function textOf(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("Ms")) return durationText(value);
  if (value === undefined || value === "") return "?";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * The error of a code, its sentence filled in from the details.
 *
 * @example throw refusal("UNKNOWN_RELEASE", { version: "v9" });
 */
export function refusal(
  code: ErrorCode,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): RollcallError {
  const meaning: Meaning = errorCodes[code];
  return new RollcallError(code, fillIn(meaning.sentence, details), { retry: meaning.retry, details, cause });
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}

/** The status of a code for HTTP and `Nats-Service-Error-Code`; 500 for a code of another version. */
export function statusOf(code: string): number {
  return isErrorCode(code) ? errorCodes[code].status : 500;
}
