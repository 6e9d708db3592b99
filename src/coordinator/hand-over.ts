import { messageOf } from "../base/errors.js";
import type { Clock, Leadership, Log } from "../base/ports.js";
import type { FleetEvent } from "../contracts/event-types.js";
import { byCoordinator } from "../contracts/origin.js";
import { soon } from "./soon.js";

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
