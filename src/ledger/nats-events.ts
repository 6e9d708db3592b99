import type { Bus } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import type { AuditEvent } from "./event-chain.js";
import { readEvent } from "./event-chain.js";
import { directGetMany, orUnavailable } from "./nats-api.js";

/**
 * The audit events of a fleet that its stream holds, oldest first, until it holds no more.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED`
 */
export async function* auditEvents(bus: Bus, fleet: string): AsyncGenerator<AuditEvent> {
  const stream = storesOf(fleet).eventStream;
  for (let next = 1; ; ) {
    const from = next;
    const { messages, atEnd } = await orUnavailable(fleet, () =>
      directGetMany(bus, stream, { seq: from, next_by_subj: ">" }),
    );
    for (const message of messages) {
      next = Number(message.header("Nats-Sequence")) + 1;
      const event = readEvent(message);
      if (event !== undefined) yield event;
    }
    if (atEnd) return;
  }
}
