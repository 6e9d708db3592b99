import type { z } from "zod";
import { RollcallError } from "../base/errors.js";
import type { BusMessage } from "../base/ports.js";
import { type EndpointName, endpoints, errorReplySchema, type ReplyOf } from "../contracts/api.js";
import { refusal } from "../contracts/errors.js";
import { errorCodeHeader, errorHeader } from "./problem-answer.js";
import { sentenceOf } from "./request.js";

/**
 * What came back, or the refusal thrown. Fields that this version does not know are kept: the control
 * plane may be newer; what an older one does not say has its default.
 * @throws RollcallError the refusal, or `INTERNAL` for what cannot be understood
 */
export function readReply<E extends EndpointName>(endpoint: E, message: BusMessage): ReplyOf<E> {
  const body = parseJson(message.data);
  if (message.header(errorCodeHeader) !== undefined || message.header(errorHeader) !== undefined)
    throw refusalOf(message, body);
  const parsed = endpoints[endpoint].reply.safeParse(body);
  if (parsed.success) return withDefaults(body, parsed.data) as ReplyOf<E>;
  if (parsed.error.issues.every(isUnknownField)) return body as ReplyOf<E>;
  throw refusal("INTERNAL", {
    problem: `the answer to ${endpoint} is not understood (${sentenceOf(parsed.error)})`,
  });
}

/** All that was received, and what the schema says in place of what was not. */
function withDefaults(received: unknown, parsed: unknown): unknown {
  if (Array.isArray(received) && Array.isArray(parsed))
    return received.map((item: unknown, at) => withDefaults(item, parsed[at]));
  if (!isObject(received) || !isObject(parsed)) return received ?? parsed;
  const filled = Object.entries(parsed).map(([name, value]) => [name, withDefaults(received[name], value)]);
  return { ...received, ...Object.fromEntries(filled) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isUnknownField(issue: z.core.$ZodIssue): boolean {
  return issue.code === "unrecognized_keys";
}

function refusalOf(message: BusMessage, body: unknown): RollcallError {
  const parsed = errorReplySchema.safeParse(body);
  if (!parsed.success)
    return refusal("INTERNAL", { problem: message.header(errorHeader) ?? "a refusal without a reason" });
  const { code, message: sentence, retry, details } = parsed.data.error;
  return new RollcallError(code, sentence, { retry, details });
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
