import type { HeardEpoch } from "../../machines/accepted.js";
import type { RollcallError } from "../base/errors.js";
import type { BusMessage } from "../base/ports.js";
import { statusOf } from "../contracts/errors.js";

/** What the answers to coordinators' requests have in common. */

export function refuse(message: BusMessage, problem: RollcallError): void {
  const { code, message: sentence, retry, details } = problem;
  message.respond(JSON.stringify({ error: { code, message: sentence, retry, details } }), {
    "Nats-Service-Error": sentence.replace(/\s+/g, " ").slice(0, 512),
    "Nats-Service-Error-Code": String(statusOf(code)),
  });
}

/** What is in a request; `undefined` if it is no JSON. */
export function bodyOf(message: BusMessage): unknown {
  if (message.data.length === 0) return {};
  try {
    return JSON.parse(new TextDecoder().decode(message.data));
  } catch {
    return undefined;
  }
}

export function verbOf({ subject }: BusMessage): string {
  return subject.slice(subject.lastIndexOf(".") + 1).slice(0, 64);
}

/** The epoch that a request names, with its ledger; `undefined`: a person asks. */
export function epochIn({
  epoch,
  ledgerId = null,
}: {
  readonly epoch?: number | undefined;
  readonly ledgerId?: string | null | undefined;
}): HeardEpoch | undefined {
  return epoch === undefined ? undefined : { epoch, ledgerId };
}
