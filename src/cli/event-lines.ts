import { eventSentence } from "../contracts/event-words.js";
import { unescapeToken } from "../contracts/names.js";
import { lineOf } from "../ledger/cloud-event.js";
import type { AuditEvent } from "../ledger/event-chain.js";
import type { Paint } from "./paint.js";
import { plainText } from "./words.js";

/** Objects with longer names push the rest of their lines to the right. */
const objectWidth = 18;

/** An event as a line for people, or for programs: a CloudEvent in JSON. */
export function eventLine(event: AuditEvent, json: boolean, paint: Paint): string {
  if (json) return lineOf(event);
  const { time, type, subject, body, actor, cause } = event;
  const object = subject
    .split("/")
    .map((token) => unescapeToken(token) ?? token)
    .join("/");
  const origin =
    actor === undefined ? "" : `  ${paint("dim", plainText(`by ${actor}, because of ${cause}`))}`;
  const sentence = plainText(eventSentence(type, dataOf(body)));
  return `${paint("dim", time)}  ${plainText(object).padEnd(objectWidth)}  ${sentence}${origin}`;
}

function dataOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
