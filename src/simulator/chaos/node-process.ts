import type { LedgerReader, Log } from "../../base/ports.js";
import type { MemoryBus } from "../../bus/memory-connection.js";
import { subjectsOf } from "../../contracts/subjects.js";
import { openLedgerReader } from "../../ledger/ledger-reader.js";
import type { ActorHost } from "../../runtime/actor.js";
import { createActorHost } from "../../runtime/actor-host.js";
import type { SeededRandom } from "../../runtime/random.js";
import { NodeClock } from "../node-clock.js";
import type { SimulatedWorld } from "../world.js";

/** What a process beside the coordinators has while it runs. */
export interface NodeProcess {
  readonly clock: NodeClock;
  readonly random: SeededRandom;
  readonly log: Log;
  readonly bus: MemoryBus;
  readonly ledger: LedgerReader;
  readonly host: ActorHost;
}

/** Begins one, with a clock and a connection of its own. @param name no other process ever had it */
export function beginProcess(
  { clock: worldClock, fleet, log, hub }: SimulatedWorld,
  name: string,
  { random, driftPpm }: { readonly random: SeededRandom; readonly driftPpm: number },
): NodeProcess {
  const clock = new NodeClock(worldClock, { driftPpm });
  const bus = hub.connect(name, { clock });
  const own = random.fork(name);
  const host = createActorHost({ node: name, clock, random: own, log, bus, subjects: subjectsOf(fleet) });
  return { clock, random: own, log, bus, ledger: openLedgerReader(bus, fleet), host };
}
