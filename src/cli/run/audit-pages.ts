import type { ParsedRequestOf, ReplyOf } from "../../contracts/api.js";
import { eventSentence, shortType } from "../../contracts/event-words.js";
import type { EventView } from "../../contracts/views.js";
import type { AuditLog } from "../../ledger/audit-log.js";
import type { AuditEvent } from "../../ledger/event-chain.js";

/** Events that one request may have looked at: the page is short, and says where to go on, rather than late. */
const scanMax = 5_000;

/** Answers `events.list` from the stream of events. */
export async function auditPage(
  log: AuditLog,
  { kind, id, type, before, limit }: ParsedRequestOf<"events.list">,
): Promise<ReplyOf<"events.list">> {
  const page = await log.page({
    kind: kind ?? type?.split(".")[0],
    id: kind === null ? undefined : (id ?? undefined),
    accepts: (event) => type === null || shortType(event.type) === type,
    before,
    limit,
    scanMax,
  });
  return { items: page.entries.map(({ event }) => eventView(event)), before: page.before };
}

function eventView(event: AuditEvent): EventView {
  const { id, type, subject, time, epoch, sequence, actor, cause, generation, body } = event;
  const data = JSON.parse(body) as EventView["data"];
  return {
    id,
    type: shortType(type),
    subject,
    time,
    sentence: eventSentence(type, data),
    actor: actor ?? null,
    cause: cause ?? null,
    generation: generation ?? null,
    epoch,
    sequence,
    data,
  };
}
