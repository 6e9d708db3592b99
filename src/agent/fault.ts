import type { Fault } from "../../machines/process.js";
import { messageOf, RollcallError } from "../base/errors.js";
import { isErrorCode, refusal } from "../contracts/errors.js";
import type { Reason } from "../contracts/instance.js";

/** Failures for want of a connection: the same work may well succeed in a moment. */
const transientCodes: ReadonlySet<string> = new Set([
  "LEDGER_UNAVAILABLE",
  "NATS_UNREACHABLE",
  "NO_RESPONDERS",
  "REQUEST_TIMEOUT",
]);

const messageMax = 4_096;

/** Whatever was thrown, as a machine keeps it. */
export function faultOf(thrown: unknown): Fault {
  const { code, message } =
    thrown instanceof RollcallError ? thrown : refusal("INTERNAL", { problem: messageOf(thrown) }, thrown);
  return { code, message: message.slice(0, messageMax) };
}

export function isTransient(thrown: unknown): boolean {
  return thrown instanceof RollcallError && transientCodes.has(thrown.code);
}

/** A failure with its sentence, for a report. */
export function reasonOf({ code, message, details }: Fault): Reason {
  const sentence = message ?? (isErrorCode(code) ? refusal(code, details).message : code);
  return { code: code.slice(0, 64), message: sentence.slice(0, messageMax) };
}
