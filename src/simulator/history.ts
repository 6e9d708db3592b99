import type { Ledger } from "../base/ports.js";

/** A record that a ledger holds before anything is played. */
export interface Put {
  readonly key: string;
  readonly value: unknown;
}

/** In one batch of a ledger. */
const chunkMax = 300;

/** Writes what a fleet's ledger holds after a life of its own, so that nobody need play it. */
export async function writeRecords(ledger: Ledger, puts: readonly Put[]): Promise<void> {
  const leadership = await ledger.acquire({ holder: "history", leaseMs: 600_000 });
  if ("heldBy" in leadership) throw new Error("somebody leads the fleet before it was made");
  const made = {
    kind: "ledger",
    id: ledger.fleet,
    type: "ledger.made",
    data: {},
    actor: "system:simulator",
    cause: "rehearsal",
  };
  for (let start = 0; start < puts.length; start += chunkMax)
    await leadership.commit({ events: [made], puts: puts.slice(start, start + chunkMax), deletes: [] });
  await leadership.resign();
}
