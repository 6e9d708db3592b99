import { shortType } from "../../src/contracts/event-words.js";
import {
  type AuditEvent,
  emptyChain,
  ledgerOf,
  readEvent,
  sealEvents,
} from "../../src/ledger/event-chain.js";
import { type Replay, ReplayLog } from "../../src/simulator/replay/replay.js";
import { fleet } from "../kit/coordinators-world.js";
import { FleetWorld } from "../kit/fleet.js";

/** Plays what a fleet has recorded. */
export async function replayOf(
  recorded: FleetWorld | readonly AuditEvent[],
  { only }: { readonly only?: string } = {},
): Promise<Replay> {
  const events = recorded instanceof FleetWorld ? recorded.store.events(fleet) : recorded;
  const log = new ReplayLog();
  for (const [index, event] of events.entries()) log.take(event, index + 1);
  return await log.replay(only);
}

type Data = Record<string, unknown>;

/** A fleet's log as it would be if one event said something else: its chain is whole. */
export function edited(
  world: FleetWorld,
  type: string,
  id: string,
  change: (data: Data) => Data,
): readonly AuditEvent[] {
  return sealed(
    world.store.events(fleet).map((event) => {
      if (shortType(event.type) !== type || event.subject.split("/")[1] !== id) return event;
      return { ...event, body: JSON.stringify(change(JSON.parse(event.body) as Data)) };
    }),
  );
}

/** Events in a chain of their own. */
function sealed(events: readonly AuditEvent[]): readonly AuditEvent[] {
  const [first] = events;
  if (first === undefined) return [];
  const ledgerId = ledgerOf(first);
  let head = emptyChain(ledgerId);
  return events.map((event) => {
    const [kind = "", id = ""] = event.subject.split("/");
    const { body, epoch, actor = "", cause = "", generation } = event;
    const { writes, head: next } = sealEvents(
      head,
      [{ kind, id, type: shortType(event.type), body, actor, cause, generation }],
      { fleet, ledgerId, epoch, nowMs: Date.parse(event.time) },
    );
    head = next;
    const [write] = writes;
    const read = readEvent({
      header: (name) => write?.headers?.[name],
      data: new TextEncoder().encode(write?.body),
    });
    if (read === undefined) throw new Error("an event was not sealed");
    return read;
  });
}
