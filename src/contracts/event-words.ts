import { eventTypes, isEventType } from "./event-types.js";
import { versionText } from "./version.js";

/** `deployment.told` of `dev.rollcall.deployment.told.v1`; what is no type of Rollcall's is left as it is. */
export function shortType(type: string): string {
  return /^dev\.rollcall\.(.+)\.v\d+$/.exec(type)?.[1] ?? type;
}

/**
 * What an event says of its object, in words.
 *
 * @param type short or whole; one that this version does not know is said as it is, with its data
 * @param data as it was parsed from JSON; of an older or newer version, fields may be missing
 */
export function eventSentence(type: string, data: unknown): string {
  const short = shortType(type);
  if (!isEventType(short)) return `${short} ${JSON.stringify(data)}`;
  const facts = new Map(Object.entries(isObject(data) ? data : {}));
  return eventTypes[short].sentence
    .replace(/\[([^\]]*)\]/g, (_, part: string) => (hasAll(part, facts) ? part : ""))
    .replace(/\{(\w+)\}/g, (_, name: string) => wordsOf(facts.get(name)));
}

function hasAll(part: string, facts: ReadonlyMap<string, unknown>): boolean {
  return [...part.matchAll(/\{(\w+)\}/g)].every(([, name = ""]) => (facts.get(name) ?? null) !== null);
}

function wordsOf(value: unknown): string {
  if (value === undefined) return "?";
  if (value === null) return "nothing";
  if (typeof value === "string" || typeof value === "number") return String(value);
  if (isObject(value)) {
    const { message, release, config } = value as Readonly<Record<string, unknown>>;
    if (typeof message === "string") return message;
    if (typeof release === "string")
      return versionText({ release, config: typeof config === "string" ? config : null });
  }
  return JSON.stringify(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
