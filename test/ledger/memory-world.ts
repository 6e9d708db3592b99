import { setTimeout as realPause } from "node:timers/promises";
import type { Subscription } from "../../src/base/ports.js";
import { createMemoryBus } from "../../src/bus/memory-bus.js";
import { openLedgerReader } from "../../src/ledger/ledger-reader.js";
import { createMemoryLedgerStore } from "../../src/ledger/memory-ledger.js";
import { createSeededRandom } from "../../src/runtime/random.js";
import type { VirtualClock } from "../../src/runtime/virtual-clock.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { quietLog } from "../kit/quiet-log.js";
import type { LedgerWorld } from "./ledger-world.js";

/** Lets virtual time run as fast as it can while a test awaits real promises. */
function runFreely(clock: VirtualClock): { stop(): Promise<void> } {
  let running = true;
  const ran = (async () => {
    while (running) {
      const next = clock.nextDueMs;
      if (next === undefined) await realPause(0);
      else await clock.advanceTo(next);
    }
  })();
  return {
    async stop() {
      running = false;
      await ran;
    },
  };
}

const fleet = "default";
/** As long as a client waits before it tries again. */
const reconnectMs = 250;

/** A ledger in memory, in virtual time that runs freely. */
export async function openMemoryWorld(): Promise<LedgerWorld> {
  const clock = createVirtualClock();
  const hub = createMemoryBus(clock, { latencyMs: 1 });
  const store = createMemoryLedgerStore({ clock, random: createSeededRandom(1), hub, log: quietLog });
  const free = runFreely(clock);
  let gone: Subscription | undefined;
  return {
    fleet,
    clock,
    async open(name) {
      const bus = hub.connect(name);
      return { bus, ledger: await store.open({ fleet, bus }) };
    },
    async reader(name) {
      const bus = hub.connect(name);
      return { bus, ...openLedgerReader(bus, fleet) };
    },
    events: async () => store.events(fleet),
    cutOff: async (name) => hub.disconnect(name),
    heal: async (name) => hub.reconnect(name),
    async stop() {
      gone = store.crash({ reconnectMs: () => reconnectMs });
    },
    start: async () => gone?.unsubscribe(),
    async loseNextAnswer() {
      store.loseNextAnswer(fleet);
      return { healed: async () => undefined };
    },
    async refuseNextCommit() {
      store.refuseNextCommit(fleet);
      return { healed: async () => undefined };
    },
    leaveRoom: async (bytes) => store.limit(fleet, store.used(fleet) + bytes),
    end: () => free.stop(),
  };
}
