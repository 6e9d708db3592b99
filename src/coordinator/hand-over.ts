import { messageOf, RollcallError } from "../base/errors.js";
import type { Clock, Leadership, Log } from "../base/ports.js";
import type { FleetEvent } from "../contracts/event-types.js";
import { byCoordinator } from "../contracts/origin.js";
import { soon } from "./soon.js";
import type { Term } from "./term.js";

/** What the note may take. */
const noteMs = 500;

/**
 * Writes into the audit log that a leader hands over by itself. Best effort, for a moment: whoever waits for the lead must not wait
 * for the log.
 */
export async function noteHandOver(
  leadership: Leadership | undefined,
  clock: Clock,
  log: Log,
): Promise<void> {
  if (leadership === undefined) return;
  const { holder, epoch } = leadership;
  const origin = byCoordinator(holder, epoch);
  const event: FleetEvent = {
    kind: "coordinator",
    id: holder,
    type: "coordinator.resigned",
    data: {},
    ...origin,
  };
  const written = leadership.commit({ events: [event], puts: [], deletes: [] });
  await soon(clock, written, noteMs).catch((error: unknown) =>
    log.debug({ error: messageOf(error) }, "that the lead is handed over is not in the audit log"),
  );
}

/**
 * Writes into the audit log that a leader begins. A full ledger has no room for this either, and must not end the leadership of whoever
 * may yet make room.
 */
export function noteLeading(term: Term): void {
  const { leadership, fleet, ledgerId, log, ownOrigin } = term;
  const { holder, epoch } = leadership;
  const events: [FleetEvent, ...FleetEvent[]] = [
    { kind: "coordinator", id: holder, type: "coordinator.leading", data: { epoch }, ...ownOrigin },
  ];
  if (epoch === 1)
    events.unshift({ kind: "ledger", id: fleet, type: "ledger.begun", data: { ledgerId }, ...ownOrigin });
  leadership.commit({ events, puts: [], deletes: [] }).catch((error: unknown) => {
    if (error instanceof RollcallError && error.code === "LEDGER_FULL")
      log.warn({ error: error.message }, "that this coordinator leads is not in the audit log");
    else term.fail(error);
  });
}
