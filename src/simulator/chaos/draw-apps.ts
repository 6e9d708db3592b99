import type { SeededRandom } from "../../runtime/random.js";
import { cutOf, Dice } from "./dice.js";
import type { AppTemper, Happening, HappeningOf, LifePlan } from "./life-plan.js";

const verbs: readonly (readonly [number, HappeningOf<"app">["verb"]])[] = [
  [1.5, "add"],
  [4, "enable"],
  [3, "disable"],
  [2, "set"],
  [2, "uninstall"],
  [0.5, "reconcile"],
];

/** What of the life that they are in goes for them too. */
export interface LifeAround {
  readonly faultsMs: number;
  readonly drifts: boolean;
  readonly upgrades: boolean;
}

interface Apps extends Pick<LifePlan, "apps" | "appInstances" | "happenings"> {
  /** All coordinators are of the next version from the beginning: newer formats are written after minutes in which all read them. */
  readonly areNext: boolean;
  /** The ledger is lost or restored: nothing is deployed in such a life. */
  readonly isReplaced: boolean;
}

/** Apps, the processes that they run in, who asks something of them, and what goes wrong with those processes: in half of the lives. */
export function drawApps(random: SeededRandom, around: LifeAround): Apps {
  const { faultsMs, drifts, upgrades } = around;
  // What was added later has streams of its own, so that what was drawn before stays as it was.
  const dice = new Dice(random.fork("apps"));
  const leavers = new Dice(random.fork("apps/later"));
  const versions = new Dice(random.fork("apps/versions"));
  if (dice.chance(0.5))
    return { apps: [], appInstances: [], happenings: [], areNext: false, isReplaced: false };
  const apps = Array.from({ length: dice.int(1, 3) }, (_, at) => temper(dice, `app${at + 1}`));
  const areNext = upgrades && versions.chance(0.5);
  const nextShare = upgrades ? versions.pick(areNext ? [0.5, 1, 1] : [0, 0.5, 1]) : 0;
  const appInstances = Array.from({ length: dice.int(1, 4) }, (_, at) => {
    const isLate = versions.chance(0.15);
    return {
      id: `p${at + 1}`,
      driftPpm: drifts ? dice.int(-500, 500) : 0,
      isNext: versions.chance(isLate ? nextShare / 2 : nextShare),
      startsAtMs: isLate ? versions.int(1, faultsMs) : 0,
    };
  });
  const keepers = new Dice(random.fork("apps/ledger"));
  const replacing = keepers.chance(0.25) ? replacements(keepers, faultsMs) : [];
  const added = apps.map((_, at) => ({ ...wish(dice, dice.int(500, 5_000)), verb: "add" as const, app: at }));
  return {
    apps,
    appInstances,
    areNext,
    isReplaced: replacing.length > 0,
    happenings: [
      ...added,
      ...series(dice, faultsMs, wish),
      ...series(dice, faultsMs, fault),
      ...(leavers.chance(0.5) ? series(leavers, faultsMs, leaving) : []),
      ...replacing,
      ...(upgrades ? appInstances.flatMap((_, at) => upgrade(versions, faultsMs, at)) : []),
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

/** Backups now and then, and the ledger is lost or put back once or twice, early enough for what comes after. */
function replacements(dice: Dice, faultsMs: number): Happening[] {
  const backups = Array.from({ length: dice.int(1, 6) }, () => dice.int(5_000, faultsMs - 1));
  const times = Array.from({ length: dice.int(1, 2) }, () => dice.int(20_000, faultsMs - 1));
  return [
    ...backups.map((atMs) => ({ do: "backup" as const, atMs })),
    ...times.map((atMs) => ({
      do: "replaceLedger" as const,
      atMs,
      how: dice.weighted([
        [2, "restored" as const],
        [1, "lost" as const],
      ]),
    })),
  ];
}

function upgrade(dice: Dice, faultsMs: number, which: number): Happening[] {
  if (dice.chance(0.5)) return [];
  return [{ do: "appNode", atMs: dice.int(5_000, faultsMs - 1), forMs: 0, which, how: "upgrade" }];
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
