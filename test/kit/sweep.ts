import { expect } from "vitest";
import type { Passing } from "../../src/bus/memory-bus.js";
import { type Crash, CrashPoints } from "./crash-points.js";
import { type Crew, fakeCrew } from "./crew.js";
import { type Ending, endingOf } from "./ending.js";
import { FleetWorld } from "./fleet.js";
import { Invariants } from "./invariants.js";
import { Operator } from "./operator.js";

/** What happens to a fleet while its leader may be killed. */
export interface Story {
  readonly instances: number;
  /** Too many instances to look at all of them after each event. */
  readonly isLarge?: boolean;
  /** Narrows down at which messages the leader is killed. */
  readonly isPoint?: (passing: Passing) => boolean;
  /** Who does what is told. Default: agents by hand. */
  crew?(world: FleetWorld): Promise<Crew>;
  /** Sets the stage; nobody is killed yet. */
  begin?(world: FleetWorld): Promise<void>;
  live(world: FleetWorld, operator: Operator): Promise<void>;
  /** What must hold at its end besides the likeness with the reference. */
  check?(world: FleetWorld, ending: Ending): void;
}

/** One life of a story. */
interface Life {
  readonly ending: Ending;
  /** The messages at which the leader could be killed. */
  readonly points: readonly string[];
  readonly killed: boolean;
}

export interface SweepOptions {
  /** Only each so manieth message, from `offset` on; all of them with `ROLLCALL_SWEEP=all`. Default 1. */
  readonly every?: number;
  readonly offset?: number;
  /** Makes a world that is not as it should be: the proof that a sweep notices. */
  readonly spoil?: (world: FleetWorld) => void;
}

/** For so long after its end a story must stay as it is. */
const stillMs = 8_000;

async function tell(story: Story, options: SweepOptions, crash?: Crash): Promise<Life> {
  const world = new FleetWorld();
  options.spoil?.(world);
  const crashes = new CrashPoints(world, "c1", { crash, isPoint: story.isPoint });
  await world.startCoordinator("c1");
  world.serve("c1");
  const crew = (await story.crew?.(world)) ?? fakeCrew(world, story.instances);
  await world.advance(2_500);
  for (const version of ["v1", "v2", "v3"]) await world.pushRelease(version);
  await world.rolledOut("v1", { selector: null, batch: story.instances });
  await world.startCoordinator("c2");
  world.serve("c2");
  await story.begin?.(world);
  if (story.isLarge !== true) new Invariants(world);
  crashes.count(true);
  await story.live(world, new Operator(world));
  crashes.count(false);
  await world.untilLed();
  await world.advance(stillMs);
  const ending = await endingOf(world, crew);
  story.check?.(world, ending);
  return { ending, points: crashes.points, killed: crashes.isOver };
}

/**
 * Lets a story happen without a fault, and again for each of its messages, with the leader killed just before it and
 * just after it: each time everything has to come to the same end, with the same done to the instances.
 *
 * @returns the reference
 */
export async function sweep(story: Story, options: SweepOptions = {}): Promise<Life> {
  const reference = await tell(story, options);
  const every = process.env.ROLLCALL_SWEEP === "all" ? 1 : (options.every ?? 1);
  const first = 1 + ((options.offset ?? 0) % every);
  for (let at = first; at <= reference.points.length; at += every)
    for (const when of ["before", "after"] as const) {
      const moment = `killed ${when} message ${at}, ${reference.points[at - 1]}`;
      const { killed, ending } = await tell(story, options, { at, when }).catch((error: unknown) => {
        throw new Error(`${moment}: ${String(error)}`, { cause: error });
      });
      expect({ moment, killed, ...ending.likeness }).toEqual({
        moment,
        killed: true,
        ...reference.ending.likeness,
      });
    }
  return reference;
}
