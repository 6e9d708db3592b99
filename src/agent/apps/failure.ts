import type { AppFailure } from "../../../machines/app-facts.js";
import { messageOf } from "../../base/errors.js";
import { failureMeanings } from "../../contracts/app-status.js";
import { type ErrorCode, refusal } from "../../contracts/errors.js";
import { AppError } from "../app-engine.js";

const messageMax = 4_096;

/** Whatever an engine threw, as the machine of the app keeps it. */
export function failureOf(app: string, thrown: unknown, code?: ErrorCode): AppFailure {
  const { failure, permanent } = thrown instanceof AppError ? thrown : new AppError("error", "");
  const meaning = code ?? failureMeanings[failure].code;
  const { message } = refusal(meaning, { app, problem: messageOf(thrown) });
  return { cause: failure, code: meaning, message: message.slice(0, messageMax), permanent };
}
