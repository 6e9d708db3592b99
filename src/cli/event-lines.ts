import { eventSentence } from "../contracts/event-words.js";
import { unescapeToken } from "../contracts/names.js";
import { lineOf } from "../ledger/cloud-event.js";
import type { AuditEvent } from "../ledger/event-chain.js";
import { alikeTogether, type Said } from "./alike.js";
import type { Paint } from "./paint.js";
import { plainText } from "./words.js";

/** Objects with longer names push the rest of their lines to the right. */
const objectWidth = 18;

/** Events as lines for people, of which what many instances say alike of an app is one; or for programs: a CloudEvent in JSON each. */
export function eventLines(events: readonly AuditEvent[], json: boolean, paint: Paint): string[] {
  if (json) return events.map(lineOf);
  return alikeTogether(events, saidOf).map(({ first, count, sentence }) => {
    const { time, subject, actor, cause } = first;
    const object = subject
      .split("/")
      .map((token) => unescapeToken(token) ?? token)
      .join("/");
    const origin =
      actor === undefined || count > 1
        ? ""
        : `  ${paint("dim", plainText(`by ${actor}, because of ${cause}`))}`;
    return `${paint("dim", time)}  ${plainText(object).padEnd(objectWidth)}  ${plainText(sentence)}${origin}`;
  });
}

function saidOf({ subject, time, type, body }: AuditEvent): Said {
  const data = dataOf(body);
  const instance = subject.startsWith("app/") ? instanceIn(data) : null;
  return { object: subject, atMs: Date.parse(time), instance, sentence: eventSentence(type, data) };
}

function instanceIn(data: unknown): string | null {
  const isNamed = typeof data === "object" && data !== null && "instance" in data;
  return isNamed && typeof data.instance === "string" ? data.instance : null;
}

function dataOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
