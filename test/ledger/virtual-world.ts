import type { Leadership, Ledger } from "../../src/base/ports.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { createMemoryLedgerStore } from "../../src/ledger/memory-ledger.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { quietLog } from "../kit/quiet-log.js";
import { isLeadership } from "./ledger-world.js";

export const fleet = "default";

/** A ledger in memory, in virtual time that goes on only while a test waits for something. */
export function virtualWorld({ latencyMs = 1, syncAlways = true } = {}) {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock, { latencyMs });
  const random = createSeededRandom(1);
  const store = createMemoryLedgerStore({ clock, random, hub, log: quietLog, syncAlways });

  /** Lets virtual time pass until a promise is settled. */
  async function during<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    await clock.runUntil(() => settled, { limitMs: 600_000 });
    return await promise;
  }
  const open = (name: string) => during(store.open({ fleet, bus: hub.connect(name) }));
  async function lead(ledger: Ledger, holder: string, leaseMs = 600_000): Promise<Leadership> {
    const taken = await during(ledger.acquire({ holder, leaseMs }));
    if (!isLeadership(taken)) throw new Error(`${taken.heldBy} leads`);
    return taken;
  }
  async function read(ledger: Ledger, key: string): Promise<unknown> {
    return (await during(ledger.readAll())).find((entry) => entry.key === key)?.value;
  }
  return { clock, hub, store, during, open, lead, read };
}
