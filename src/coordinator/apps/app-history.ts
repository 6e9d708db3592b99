import { z } from "zod";
import { type ControlPlane, eventsPageMax, type ParsedRequestOf, type ReplyOf } from "../../contracts/api.js";
import { initStatusSchema } from "../../contracts/app.js";
import type { AppHistoryItem } from "../../contracts/app-api.js";
import { changeCauseSchema, shortReasonMax, shortReasonSchema } from "../../contracts/app-report.js";
import type { EventView } from "../../contracts/views.js";

/** Pages of the audit log that one request may look through; a short page says where to go on. */
const pagesMax = 20;
const textMax = 200;
const sentenceMax = 500;

/** Events that tell what somebody wants of an app. */
const desiredTypes: ReadonlySet<string> = new Set([
  "app.added",
  "app.enabled",
  "app.disabled",
  "app.changed",
  "app.uninstalled",
  "app.told",
  "app.cleared",
]);

const statusDataSchema = z.object({
  instance: z.string(),
  from: initStatusSchema,
  to: initStatusSchema,
  cause: changeCauseSchema,
  reason: shortReasonSchema.nullable(),
  atMs: z.number(),
});
const alertDataSchema = z.object({
  instance: z.string(),
  reason: z.object({ code: z.string(), message: z.string() }).nullable().default(null),
});
const askedDataSchema = z.object({ from: z.unknown(), to: z.unknown() }).partial();

/** When and why the statuses of an app changed, from the audit log. */
export async function appHistory(
  audit: ControlPlane["events.list"],
  { app, instance, before, limit }: ParsedRequestOf<"apps.history">,
): Promise<ReplyOf<"apps.history">> {
  let items: AppHistoryItem[] = [];
  let end = before;
  for (let pages = 0; pages < pagesMax && items.length < limit; pages++) {
    const room = Math.min(eventsPageMax, limit - items.length);
    const page = await audit({ kind: "app", id: app, type: null, before: end, limit: room });
    const found = page.items.flatMap((event) => itemOf(event) ?? []);
    items = [
      ...found.filter((item) => instance === null || item.instance === null || item.instance === instance),
      ...items,
    ];
    end = page.before;
    if (end === null) break;
  }
  return { items, before: end };
}

/** What an event says of a status; `undefined` if it is about something else. */
function itemOf(event: EventView): AppHistoryItem | undefined {
  const { type, time, sentence, cause, actor, generation } = event;
  const common = { atMs: Date.parse(time), generation, by: actor, sentence: sentence.slice(0, sentenceMax) };
  if (type === "app.status") {
    const { data } = statusDataSchema.safeParse(event.data);
    if (data === undefined) return undefined;
    const { instance, from, to, cause: what, reason, atMs: instanceAtMs } = data;
    return { ...common, what: "init", instance, instanceAtMs, from, to, cause: what, reason };
  }
  const caused = { ...common, cause: (cause ?? "").slice(0, textMax), instanceAtMs: null };
  if (type === "app.mismatched" || type === "app.matched") {
    const { data } = alertDataSchema.safeParse(event.data);
    if (data === undefined) return undefined;
    const isRaised = type === "app.mismatched";
    const [from, to] = isRaised ? [null, "mismatched"] : ["mismatched", "matched"];
    const { instance, reason } = data;
    const short = reason && {
      code: reason.code.slice(0, 64),
      message: reason.message.slice(0, shortReasonMax),
    };
    return { ...caused, what: "alert", instance, from, to, reason: short };
  }
  if (!desiredTypes.has(type)) return undefined;
  const { from, to } = askedDataSchema.safeParse(event.data).data ?? {};
  return {
    ...caused,
    what: "desired",
    instance: null,
    from: textOf(from),
    to: textOf(to) ?? type.slice("app.".length),
    reason: null,
  };
}

/** A status, or the parts of an app that are others now. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return String(value).slice(0, textMax);
  const parts = Object.entries(value).map(
    ([name, part]) => `${name} ${typeof part === "string" ? part : JSON.stringify(part)}`,
  );
  return parts.join(", ").slice(0, textMax);
}
