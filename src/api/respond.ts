import { RollcallError } from "../base/errors.js";
import type { BusMessage } from "../base/ports.js";
import { asRefusal } from "./problem-answer.js";

/**
 * Answers a request with a value as JSON.
 * @throws RollcallError `PAYLOAD_TOO_LARGE` with what the caller can do about it: nothing was sent
 */
export function respondWith(
  message: BusMessage,
  reply: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  try {
    message.respond(JSON.stringify(reply), headers);
  } catch (thrown) {
    const problem = asRefusal(thrown);
    throw problem.code === "PAYLOAD_TOO_LARGE" ? answerTooLarge(problem) : problem;
  }
}

/** The table's sentence is for who sends too much; here somebody asked for too much. */
function answerTooLarge({ details, cause }: RollcallError): RollcallError {
  const { sizeBytes = "?", maxBytes = "?" } = details;
  const sentence = `The answer of ${sizeBytes} bytes is larger than ${maxBytes}: ask for less at once, by a selector, a limit or a single name.`;
  return new RollcallError("PAYLOAD_TOO_LARGE", sentence, { details, cause });
}
