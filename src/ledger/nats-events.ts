import type { Bus, Clock } from "../base/ports.js";
import { storesOf } from "../contracts/keys.js";
import type { AuditEvent } from "./event-chain.js";
import { readEvent } from "./event-chain.js";
import { orUnavailable, streamMessages } from "./nats-api.js";

/**
 * The audit events of a fleet that its stream holds, oldest first, until it holds no more.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE`, `NOT_ALLOWED`
 */
export async function* auditEvents(options: {
  readonly fleet: string;
  readonly bus: Bus;
  readonly clock: Clock;
}): AsyncGenerator<AuditEvent> {
  const { fleet, bus, clock } = options;
  const stream = storesOf(fleet).eventStream;
  const messages = streamMessages(bus, { clock, stream, filter: ">" });
  for (;;) {
    const { value: message } = await orUnavailable(fleet, () => messages.next());
    if (message === undefined) return;
    const event = readEvent(message);
    if (event !== undefined) yield event;
  }
}
