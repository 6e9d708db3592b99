import { messageOf, RollcallError } from "../base/errors.js";
import type { BusMessage } from "../base/ports.js";
import { errorReplySchema } from "../contracts/api.js";
import { refusal, statusOf } from "../contracts/errors.js";

/** ADR-32: a reply that carries these headers is an error. */
export const errorHeader = "Nats-Service-Error";
export const errorCodeHeader = "Nats-Service-Error-Code";

/** A header is one line; the whole sentence stands in the body. */
const headerCharactersMax = 512;
const messageCharactersMax = 8_192;
const detailsCharactersMax = 65_536;

/** An error as it travels. */
export interface ProblemAnswer {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Whatever was thrown, as an error that somebody outside may read. */
export function asRefusal(thrown: unknown): RollcallError {
  return thrown instanceof RollcallError
    ? thrown
    : refusal("INTERNAL", { problem: messageOf(thrown) }, thrown);
}

/** Headers and JSON body of a refusal, whatever its details hold. */
export function problemAnswer(problem: RollcallError): ProblemAnswer {
  const { code, retry } = problem;
  const message = problem.message.slice(0, messageCharactersMax);
  return {
    body: JSON.stringify({ error: { code, message, retry, details: plainDetails(problem.details) } }),
    headers: { [errorHeader]: oneLine(message), [errorCodeHeader]: String(statusOf(code)) },
  };
}

/** The error headers of an answer, to pass it on; `undefined` if it is no error. */
export function errorHeadersOf(answer: BusMessage): Readonly<Record<string, string>> | undefined {
  const error = answer.header(errorHeader);
  const code = answer.header(errorCodeHeader);
  return error === undefined || code === undefined
    ? undefined
    : { [errorHeader]: error, [errorCodeHeader]: code };
}

/** The code of an answer that is a refusal; `undefined` for any other. */
export function refusedAs(answer: BusMessage): string | undefined {
  if (errorHeadersOf(answer) === undefined) return undefined;
  try {
    return errorReplySchema.safeParse(JSON.parse(new TextDecoder().decode(answer.data))).data?.error.code;
  } catch {
    return undefined;
  }
}

function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length <= headerCharactersMax ? line : `${line.slice(0, headerCharactersMax - 1)}…`;
}

/** Details are facts beside the sentence: ones that JSON cannot carry, or that would burst a message, stay here. */
function plainDetails(details: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  try {
    return JSON.stringify(details).length <= detailsCharactersMax ? details : {};
  } catch {
    return {};
  }
}
