import { createSeededRandom } from "../../runtime/random.js";
import { cutOf, Dice } from "./dice.js";
import { drawApps } from "./draw-apps.js";
import { type Family, families } from "./families.js";
import { type Happening, type LifePlan, misuses, type Temper } from "./life-plan.js";

const selectors = [null, "tier=web", "tier!=web", "zone=a", "tier=web,zone=a"] as const;
const batches = [1, 1, 2, 3, "25%", "50%", "100%"] as const;
const thresholds = [1, 1, 2, 3, "20%", "100%"] as const;

/** What goes wrong with apps is drawn with them. */
type OfFleet = Exclude<Family, "apps">;
const ofFleet = families.filter((family): family is OfFleet => family !== "apps");

/** What is deployed and who takes part in it: not where the ledger is lost or restored. */
const ofDeployments: ReadonlySet<Happening["do"]> = new Set([
  "deploy",
  "act",
  "reset",
  "remove",
  "relabel",
  "newHost",
  "double",
  "join",
  "leave",
  "misuse",
  "reconcile",
]);

/**
 * Draws the life that belongs to a seed. Swarm testing: which kinds of faults there are, and how many of each, is drawn first, so that
 * lives differ in kind and a fault that hides another is often missing.
 *
 * @param options `instancesMax` for a quick look; 200 at most
 */
export function drawPlan(seed: string, options: { readonly instancesMax?: number } = {}): LifePlan {
  const random = createSeededRandom(seed);
  const dice = new Dice(random.fork("plan"));
  const swarm = new Set(ofFleet.filter(() => dice.chance(0.5)));
  const size = Math.min(options.instancesMax ?? 200, sizeOf(dice));
  const leaseMs = dice.pick([3_000, 3_000, 12_000]);
  const faultsMs = dice.int(3, 12) * 60_000;
  const drifts = swarm.has("clocks");
  const drift = () => (drifts ? dice.int(-500, 500) : 0);
  const isNext = () => swarm.has("upgrades") && dice.chance(0.25);
  const apps = drawApps(random, { faultsMs, drifts, upgrades: swarm.has("upgrades") });
  return {
    seed,
    leaseMs,
    faultsMs,
    reconcileEveryMs: dice.pick([30_000, 60_000, 300_000]),
    coordinators: Array.from(
      {
        length: dice.weighted([
          [3, 1],
          [3, 2],
          [4, 3],
          [1, 5],
        ]),
      },
      () => ({
        driftPpm: drift(),
        isNext: isNext() || apps.areNext,
      }),
    ),
    instances: Array.from({ length: size }, (_, at) => ({
      id: `i${at + 1}`,
      labels: labels(dice),
      driftPpm: drift(),
      isNext: isNext(),
    })),
    configs: ["conf1", "conf2"],
    releases: Array.from({ length: dice.int(2, 5) }, (_, at) => temper(dice, `v${at + 1}`)),
    apps: apps.apps,
    appInstances: apps.appInstances,
    happenings: [
      ...apps.happenings,
      ...[
        ...people(dice, faultsMs),
        ...(swarm.size === 0 ? [] : faults(dice, [...swarm], faultsMs, leaseMs)),
      ].filter(({ do: kind }) => !apps.isReplaced || !ofDeployments.has(kind)),
    ].sort((a, b) => a.atMs - b.atMs),
  };
}

/** Mostly few: what goes wrong with many goes wrong with few, and faster. */
function sizeOf(dice: Dice): number {
  return dice.weighted([
    [6, () => dice.int(1, 6)],
    [5, () => dice.int(5, 15)],
    [2, () => dice.int(15, 40)],
    [0.3, () => dice.int(40, 200)],
  ])();
}

function labels(dice: Dice): Record<string, string> {
  return { tier: dice.pick(["web", "web", "db"]), ...(dice.chance(0.5) && { zone: "a" }) };
}

function temper(dice: Dice, version: string): Temper {
  const isBad = dice.chance(0.6);
  const bad = (most: number) => (isBad && dice.chance(0.4) ? dice.unit() * most : 0);
  return {
    version,
    minHealthyMs: dice.int(0, 5_000),
    deadlineMs: dice.pick([dice.int(10, 30), dice.int(30, 90)]) * 1_000,
    fails: bad(0.5),
    hangs: bad(0.5),
    unhealthy: bad(0.3),
    sickens: bad(0.3),
    crashes: bad(0.3),
    flaky: bad(0.4),
    slowMs: dice.int(0, 3_000),
  };
}

/** Somebody wants something every twenty seconds or so. */
function people(dice: Dice, untilMs: number): Happening[] {
  const wishes: Happening[] = [];
  const everyMs = dice.pick([8_000, 20_000, 45_000]);
  for (let atMs = 2_000; atMs < untilMs; atMs += dice.int(1, 2 * everyMs)) wishes.push(wish(dice, atMs));
  return wishes;
}

function wish(dice: Dice, atMs: number): Happening {
  const deployment = dice.weighted([
    [8, 0],
    [3, 1],
    [1, dice.int(2, 5)],
  ]);
  const instance = dice.int(0, 999);
  return dice.weighted<() => Happening>([
    [
      8,
      () => ({
        do: "deploy",
        atMs,
        ...what(dice),
        selector: dice.pick(selectors),
        batch: dice.pick(batches),
        failureThreshold: dice.pick(thresholds),
        rollback: dice.chance(0.85) ? "auto" : "off",
        onStuck: dice.chance(0.8) ? "fail" : "report",
        progressDeadlineMs: dice.pick([dice.int(15, 60), dice.int(60, 1_200)]) * 1_000,
      }),
    ],
    [1.5, () => ({ do: "act", atMs, verb: "pause", deployment })],
    [2.5, () => ({ do: "act", atMs, verb: dice.chance(0.7) ? "resume" : "force", deployment })],
    [1, () => ({ do: "act", atMs, verb: "abort", deployment })],
    [1.5, () => ({ do: "act", atMs, verb: "rollback", deployment })],
    [1.5, () => ({ do: "act", atMs, verb: "retry", deployment })],
    [1.5, () => ({ do: "reset", atMs, instance })],
    [1, () => ({ do: "relabel", atMs, instance, labels: labels(dice) })],
    [1, () => ({ do: "misuse", atMs, what: dice.pick(misuses) })],
    [0.5, () => ({ do: "reconcile", atMs, dryRun: dice.chance(0.5) })],
  ])();
}

/** A release, a configuration, or both. */
function what(dice: Dice): { readonly release: number | null; readonly config: number | null } {
  const release = dice.chance(0.9) ? dice.int(0, 7) : null;
  return { release, config: release === null || dice.chance(0.2) ? dice.int(0, 3) : null };
}

function faults(dice: Dice, swarm: readonly OfFleet[], untilMs: number, leaseMs: number): Happening[] {
  const found: Happening[] = [];
  const everyMs = dice.pick([5_000, 15_000, 40_000]);
  for (let atMs = 1_000; atMs < untilMs; atMs += dice.int(1, 2 * everyMs))
    found.push(fault(dice, dice.pick(swarm), atMs, leaseMs));
  return found;
}

function fault(dice: Dice, family: OfFleet, atMs: number, leaseMs: number): Happening {
  const forMs = dice.weighted([
    [4, () => dice.int(50, leaseMs)],
    [4, () => dice.int(leaseMs, 20_000)],
    [1, () => dice.int(20_000, 120_000)],
  ])();
  const which = dice.int(0, 999);
  const inFlightOr = dice.chance(0.4) ? ("inFlight" as const) : which;
  const leaderOr = dice.chance(0.6) ? ("leader" as const) : which;
  const kinds: Record<OfFleet, () => Happening> = {
    messages: () => ({
      do: "messages",
      atMs,
      forMs,
      how: dice.pick(["lose", "duplicate", "delay", "reorder"]),
      of: dice.pick(["health", "desired", "ask", "api", "ledger", "all"]),
      share: dice.unit() * 0.5,
      ms: dice.weighted([
        [3, dice.int(1, 500)],
        [1, dice.int(500, 8_000)],
      ]),
    }),
    partitions: () =>
      dice.weighted<() => Happening>([
        [3, () => ({ do: "coordinator", atMs, forMs, which: leaderOr, how: cutOf(dice) })],
        [3, () => ({ do: "agent", atMs, forMs, which: inFlightOr, how: cutOf(dice) })],
        [2, () => ({ do: "agents", atMs, forMs: longer(dice, forMs), share: dice.unit(), how: cutOf(dice) })],
      ])(),
    pauses: () =>
      dice.chance(0.7)
        ? { do: "coordinator", atMs, forMs, which: leaderOr, how: "stall" }
        : { do: "agent", atMs, forMs, which: inFlightOr, how: "stall" },
    crashes: () =>
      dice.weighted<() => Happening>([
        [4, () => ({ do: "coordinator", atMs, forMs, which: leaderOr, how: "kill" })],
        [2, () => ({ do: "coordinator", atMs, forMs, which: leaderOr, how: "stop" })],
        [4, () => ({ do: "agent", atMs, forMs, which: inFlightOr, how: "kill" })],
        [1, () => ({ do: "agent", atMs, forMs, which: inFlightOr, how: "stop" })],
      ])(),
    upgrades: () =>
      dice.chance(0.7)
        ? { do: "coordinator", atMs, forMs, which: leaderOr, how: "upgrade" }
        : { do: "agent", atMs, forMs, which: inFlightOr, how: "upgrade" },
    clocks: () => ({
      do: "clockStep",
      atMs,
      of: dice.pick(["coordinator", "agent"]),
      which,
      byMs: dice.pick([-3_600_000, -30_000, -1_000, 1_000, 30_000, 3_600_000]),
    }),
    ledger: () => ({
      do: "ledger",
      atMs,
      forMs: Math.min(forMs, 30_000),
      how: dice.pick(["refuse", "loseAnswer", "hold", "unavailable", "full", "restart", "lag", "depose"]),
      ms: dice.int(10, 3_000),
    }),
    disks: () => ({ do: "agent", atMs, forMs, which: inFlightOr, how: "diskFull" }),
    processes: () =>
      dice.chance(0.5)
        ? { do: "crash", atMs, instance: which }
        : { do: "sick", atMs, forMs, instance: which },
    machines: () => ({ do: "agent", atMs, forMs, which: inFlightOr, how: "reboot" }),
    membership: () =>
      dice.weighted<() => Happening>([
        [1, () => ({ do: "newHost", atMs, instance: which, takeoverAfterMs: dice.int(0, 60_000) })],
        [1, () => ({ do: "double", atMs, forMs, instance: which })],
        [4, () => ({ do: "join", atMs, labels: labels(dice) })],
        [2, () => ({ do: "leave", atMs, instance: which })],
        [2, () => ({ do: "remove", atMs, instance: which })],
      ])(),
  };
  return kinds[family]();
}

/** Mostly long enough to be noticed. */
function longer(dice: Dice, forMs: number): number {
  return dice.chance(0.7) ? Math.max(forMs, dice.int(8, 40) * 1_000) : forMs;
}
