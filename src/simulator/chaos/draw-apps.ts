import { cutOf, type Dice } from "./dice.js";
import type { AppTemper, Happening, HappeningOf, LifePlan } from "./life-plan.js";

const verbs: readonly (readonly [number, HappeningOf<"app">["verb"]])[] = [
  [1.5, "add"],
  [4, "enable"],
  [3, "disable"],
  [2, "set"],
  [2, "uninstall"],
  [0.5, "reconcile"],
];

type Apps = Pick<LifePlan, "apps" | "appInstances" | "happenings">;

/**
 * Apps, the processes that they run in, who asks something of them, and what goes wrong with those processes: in half of the lives.
 *
 * @param later draws who leaves and is forgotten
 */
export function drawApps(dice: Dice, later: Dice, faultsMs: number, drifts: boolean): Apps {
  if (dice.chance(0.5)) return { apps: [], appInstances: [], happenings: [] };
  const apps = Array.from({ length: dice.int(1, 3) }, (_, at) => temper(dice, `app${at + 1}`));
  const appInstances = Array.from({ length: dice.int(1, 4) }, (_, at) => ({
    id: `p${at + 1}`,
    driftPpm: drifts ? dice.int(-500, 500) : 0,
  }));
  const added = apps.map((_, at) => ({ ...wish(dice, dice.int(500, 5_000)), verb: "add" as const, app: at }));
  return {
    apps,
    appInstances,
    happenings: [
      ...added,
      ...series(dice, faultsMs, wish),
      ...series(dice, faultsMs, fault),
      ...(later.chance(0.5) ? series(later, faultsMs, leaving) : []),
    ],
  };
}

function series(dice: Dice, untilMs: number, draw: (dice: Dice, atMs: number) => Happening): Happening[] {
  const drawn: Happening[] = [];
  const everyMs = dice.pick([8_000, 20_000, 45_000]);
  for (let atMs = 5_000; atMs < untilMs; atMs += dice.int(1, 2 * everyMs)) drawn.push(draw(dice, atMs));
  return drawn;
}

function temper(dice: Dice, app: string): AppTemper {
  const some = (most: number) => (dice.chance(0.4) ? dice.unit() * most : 0);
  return { app, broken: some(0.4), flaky: some(0.6), hangs: some(0.4) };
}

function wish(dice: Dice, atMs: number): HappeningOf<"app"> {
  return {
    do: "app",
    atMs,
    verb: dice.weighted(verbs),
    app: dice.int(0, 9),
    version: dice.int(0, 3),
    careful: dice.chance(0.5),
    by: dice.pick(["anna", "bob"]),
  };
}

/** A process is taken out of the fleet, or says that it leaves; it comes back. */
function leaving(dice: Dice, atMs: number): Happening {
  const which = dice.int(0, 99);
  if (dice.chance(0.7)) return { do: "appForget", atMs, instance: which, by: dice.pick(["anna", "bob"]) };
  return { do: "appNode", atMs, forMs: dice.int(50, 90_000), which, how: "leave" };
}

function fault(dice: Dice, atMs: number): Happening {
  const which = dice.int(0, 99);
  const forMs = dice.weighted([
    [4, () => dice.int(50, 5_000)],
    [3, () => dice.int(5_000, 60_000)],
  ])();
  const happens = (how: HappeningOf<"appNode">["how"]): Happening => ({
    do: "appNode",
    atMs,
    forMs,
    which,
    how,
  });
  return dice.weighted<() => Happening>([
    [3, () => happens("kill")],
    [2, () => happens("stop")],
    [1, () => happens("stall")],
    [1, () => happens("diskFull")],
    [3, () => happens(cutOf(dice))],
    [2, () => ({ do: "appEnds", atMs, which, app: dice.int(0, 9) })],
  ])();
}
