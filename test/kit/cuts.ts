import type { Subscription } from "../../src/base/ports.js";
import type { Delivery } from "../../src/bus/memory-bus.js";
import type { FleetWorld } from "./fleet.js";

const ledger = "ledger-store";
const isAgent = (name: string) => name.startsWith("agent-");

/** Cuts something off; what it returns heals it. */
export type Cut = (world: FleetWorld) => () => void;

/** Whole processes that lose their connection, and notice. */
function without(names: (world: FleetWorld) => readonly string[]): Cut {
  return (world) => {
    const cut = names(world);
    for (const name of cut) world.hub.disconnect(name);
    return () => cut.forEach((name) => void world.hub.reconnect(name));
  };
}

/** Messages that get lost on one way, while nobody notices that anything is cut. */
function losing(isLost: (delivery: Delivery, leader: string) => boolean): Cut {
  return (world) => {
    const leader = world.leaderName() ?? "c1";
    const lost: Subscription = world.hub.drop((delivery) => isLost(delivery, leader));
    return () => lost.unsubscribe();
  };
}

const agents = (world: FleetWorld) => [...world.agents.keys()].map((name) => `agent-${name}`);

/** The partitions of a fleet with the coordinators c1 and c2, of which one leads. */
export const cuts = {
  "no coordinator reaches NATS": without((world) => [...world.coordinators.keys()]),
  "the leader does not reach NATS": without((world) => [world.leaderName() ?? "c1"]),
  "no agent reaches NATS": without(agents),
  "one agent does not reach NATS": without((world) => agents(world).slice(0, 1)),
  "half of the agents do not reach NATS": without((world) => agents(world).slice(0, world.agents.size / 2)),
  "the follower does not reach NATS": without((world) =>
    [...world.coordinators.keys()].filter((name) => name !== world.leaderName()),
  ),
  "the leader reaches the agents but not the ledger": losing(
    ({ from, to }, leader) => (from === leader && to === ledger) || (from === ledger && to === leader),
  ),
  "the ledger does not hear the leader": losing(({ from, to }, leader) => from === leader && to === ledger),
  "the leader does not hear the ledger": losing(({ from, to }, leader) => from === ledger && to === leader),
  "the leader reaches the ledger but not the agents": losing(
    ({ from, to }, leader) => (from === leader && isAgent(to)) || (isAgent(from) && to === leader),
  ),
  "the agents do not hear the ledger": losing(({ from, to }) => from === ledger && isAgent(to)),
} as const satisfies Readonly<Record<string, Cut>>;

export type CutName = keyof typeof cuts;
