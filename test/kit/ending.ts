import {
  type DeploymentRecord,
  deploymentRecordSchema,
  instanceRecordSchema,
} from "../../src/contracts/deployment.js";
import { parseKey } from "../../src/contracts/keys.js";
import { fleet } from "./coordinators-world.js";
import type { Crew } from "./crew.js";
import type { FleetWorld } from "./fleet.js";
import { quietLog } from "./quiet-log.js";

/** How a story ended. */
export interface Ending {
  readonly deployments: readonly DeploymentRecord[];
  /** All of it but what a change of leader may change, times and epochs. */
  readonly likeness: {
    readonly deployments: readonly object[];
    readonly instances: readonly object[];
    readonly running: Readonly<Record<string, string | null>>;
    /** What was done to each instance, in this order. */
    readonly effects: Readonly<Record<string, readonly string[]>>;
    /** What the audit log says of each deployment and each instance. */
    readonly events: Readonly<Record<string, readonly string[]>>;
  };
}

/** Reads the end off the ledger and off the agents, not off what a coordinator says. */
export async function endingOf(world: FleetWorld, crew: Crew): Promise<Ending> {
  const bus = world.hub.connect("reader");
  const ledger = await world.during(world.store.open({ fleet, bus, log: quietLog }));
  const entries = await world.during(ledger.readAll());
  await world.during(bus.close());
  const of = (kind: string) =>
    entries
      .filter(({ key }) => parseKey(key)?.[0] === kind)
      .sort((one, other) => (one.key < other.key ? -1 : 1))
      .map(({ value }) => value);
  const deployments = of("deployment").map((value) => deploymentRecordSchema.parse(value));
  const instances = of("instance").map((value) => instanceRecordSchema.parse(value));
  return {
    deployments,
    likeness: {
      deployments: deployments.map(timeless),
      // Who joins is not part of any story that is swept.
      instances: instances.map(({ joinedAtMs: _, ...record }) => record),
      running: crew.running(),
      effects: crew.effects(),
      events: eventsIn(world),
    },
  };
}

const told = "dev.rollcall.deployment.told.v1";
const continued = "dev.rollcall.deployment.continued.v1";

/**
 * By object. A change of leader may add two things: that a deployment was continued by another one; and that a wave was told
 * in two steps instead of one, as instances are told once they were heard of. So what was told in a row counts as one.
 */
function eventsIn(world: FleetWorld): Record<string, readonly string[]> {
  const events: Record<string, string[]> = {};
  for (const { subject, type } of world.store.events(fleet)) {
    if (!/^(deployment|instance)\//.test(subject) || type === continued) continue;
    const of = events[subject] ?? [];
    events[subject] = of;
    if (type !== told || of.at(-1) !== told) of.push(type);
  }
  return events;
}

function timeless({ created, clock, movedAtMs, finishedAtMs, ...record }: DeploymentRecord): object {
  const { paused, held, ending } = record;
  const reason = ending?.reason?.code ?? null;
  return { ...record, created: created.by, paused: paused !== null, held: held !== null, ending: reason };
}
