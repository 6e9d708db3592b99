import fc from "fast-check";
import {
  type InFlight,
  isAwaited,
  type Observed,
  type Plan,
  type Policy,
  plan,
  type Wanted,
} from "../../machines/deployment-plan.js";
import { calm } from "./samples.js";

/** A fleet that does what the planner says, as naively as can be: what the planner's properties are checked on. */

export const tickMs = 1_000;

/** What an instance does each time it is told: after so many ticks it is there, fails, or neither. */
export interface Behaviour {
  readonly how: "succeeds" | "fails" | "hangs" | "failsLater";
  readonly afterTicks: number;
}

interface Span {
  readonly from: number;
  readonly ticks: number;
}

export interface Scenario {
  readonly batch: number;
  readonly failureThreshold: number;
  readonly isRollback: boolean;
  readonly judgeFromTick: number;
  readonly deadlineTicks: number;
  /** One an instance: what it does at its first, second, … command. The last one stays. */
  readonly fleet: readonly {
    readonly does: readonly Behaviour[];
    readonly urgent: boolean;
    readonly silent: readonly Span[];
    readonly leavesAt: number | null;
    readonly resetAt: number | null;
  }[];
  readonly standing: readonly Span[];
  /** Ticks that the ledger takes for a step. */
  readonly writeTicks: number;
}

const span = fc.record({ from: fc.nat(60), ticks: fc.integer({ min: 1, max: 40 }) });
const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  how: fc.constantFrom("succeeds", "succeeds", "succeeds", "fails", "hangs", "failsLater"),
  afterTicks: fc.integer({ min: 1, max: 6 }),
});

export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  batch: fc.integer({ min: 1, max: 6 }),
  failureThreshold: fc.integer({ min: 1, max: 5 }),
  isRollback: fc.boolean(),
  judgeFromTick: fc.nat(25),
  deadlineTicks: fc.constantFrom(10, 10, 60),
  fleet: fc.array(
    fc.record({
      does: fc.array(behaviour, { minLength: 1, maxLength: 3 }),
      urgent: fc.boolean(),
      silent: fc.array(span, { maxLength: 2 }),
      leavesAt: fc.option(fc.nat(60), { freq: 8 }),
      resetAt: fc.option(fc.nat(60), { freq: 4 }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  standing: fc.array(span, { maxLength: 2 }),
  writeTicks: fc.nat(2),
});

export interface Instance {
  readonly name: string;
  readonly urgent: boolean;
  state: "waiting" | "told" | "succeeded" | "failed" | "gone";
  silent: boolean;
  hasFailed: boolean;
  hasSucceeded: boolean;
  toldAtMs: number;
  toldAtTick: number;
  /** How often it was told, and how often it was reset. */
  told: number;
  resets: number;
}

/** One look of the planner, and what it was shown. */
export interface Look {
  readonly tick: number;
  readonly fleet: readonly Readonly<Instance>[];
  readonly observed: Observed;
  readonly policy: Policy;
  readonly plan: Plan;
}

export const wantedOf = ({ batch, failureThreshold, deadlineTicks }: Scenario): Wanted => ({
  batch,
  failureThreshold,
  deadlineMs: deadlineTicks * tickMs,
  progressDeadlineMs: 25 * tickMs,
});

/** Ticks after which a roll-out that goes on by itself has hung: more than all spans, deadlines and fleets together. */
const ticksMax = 1_500;

/** Plays a roll-out to its end. @returns each look on the way; the last has the verdict, unless it never came */
export function playOut(scenario: Scenario): Look[] {
  const wanted = wantedOf(scenario);
  const fleet = scenario.fleet.map(
    ({ urgent }, at): Instance => ({
      name: `i${at + 1}`,
      urgent: urgent && scenario.isRollback,
      state: "waiting",
      silent: false,
      hasFailed: false,
      hasSucceeded: false,
      toldAtMs: 0,
      toldAtTick: 0,
      told: 0,
      resets: 0,
    }),
  );
  const looks: Look[] = [];
  const clock = { ranMs: 0, movedAtMs: 0, leftFailed: 0, writtenAtTick: 0 };
  for (let tick = 0; tick < ticksMax; tick++) {
    const standing = isWithin(scenario.standing, tick);
    if (tick > 0 && !standing) clock.ranMs += tickMs;
    if (live(scenario, fleet, tick, clock)) clock.movedAtMs = clock.ranMs;
    const observed = observe(wanted, fleet, clock.writtenAtTick > tick ? 1 : 0);
    const { ranMs, movedAtMs, leftFailed } = clock;
    const policy = { standing, mayJudge: tick >= scenario.judgeFromTick, ranMs, movedAtMs, leftFailed };
    const planned = plan(wanted, observed, policy, tick * tickMs);
    looks.push({ tick, fleet: fleet.map((one) => ({ ...one })), observed, policy, plan: planned });
    if (planned.verdict !== "going") return looks;
    for (const name of planned.overdue) fail(named(fleet, name));
    for (const name of planned.tell) {
      const one = named(fleet, name);
      one.state = "told";
      one.told++;
      one.toldAtTick = tick;
      one.toldAtMs = ranMs;
    }
    if (planned.tell.length > 0 || planned.overdue.length > 0)
      clock.writtenAtTick = tick + scenario.writeTicks;
  }
  return looks;
}

function named(fleet: readonly Instance[], name: string): Instance {
  const found = fleet.find((one) => one.name === name);
  if (found === undefined) throw new Error(`nobody is called ${name}`);
  return found;
}

function fail(one: Instance): void {
  one.state = "failed";
  one.hasFailed = true;
}

function isWithin(spans: readonly Span[], tick: number): boolean {
  return spans.some(({ from, ticks }) => tick >= from && tick < from + ticks);
}

/** What the instances do by themselves in a tick. @returns whether one of them moved */
function live(scenario: Scenario, fleet: Instance[], tick: number, clock: { leftFailed: number }): boolean {
  let moved = false;
  scenario.fleet.forEach(({ does, silent, leavesAt, resetAt }, at) => {
    const one = fleet[at];
    if (one === undefined || one.state === "gone") return;
    const before = one.state;
    one.silent = isWithin(silent, tick);
    if (leavesAt === tick) {
      if (one.hasFailed) clock.leftFailed++;
      one.state = "gone";
    } else if (resetAt === tick && one.state === "failed") {
      one.state = "waiting";
      one.resets++;
    } else if (!one.silent) act(one, does[Math.min(one.told, does.length) - 1], tick);
    moved ||= one.state !== before;
  });
  return moved;
}

function act(one: Instance, behaviour: Behaviour | undefined, tick: number): void {
  if (behaviour === undefined || behaviour.how === "hangs") return;
  const ticks = tick - one.toldAtTick;
  if (one.state === "told" && ticks >= behaviour.afterTicks) {
    if (behaviour.how === "fails") fail(one);
    else {
      one.state = "succeeded";
      one.hasSucceeded = true;
    }
  } else if (
    one.state === "succeeded" &&
    behaviour.how === "failsLater" &&
    ticks >= behaviour.afterTicks + 3
  ) {
    fail(one);
  }
}

function observe({ batch }: Wanted, fleet: readonly Instance[], unwritten: number): Observed {
  const here = fleet.filter(({ state }) => state !== "gone");
  const waiting = here.filter(({ state }) => state === "waiting");
  const reachable = waiting.filter(({ urgent, silent }) => !urgent && !silent);
  const inFlight = here.filter(({ state }) => state === "told");
  const flights = inFlight
    .filter(isAwaited)
    .map(({ name, toldAtMs }): InFlight => ({ instance: name, toldAtMs }))
    .sort((one, other) => one.toldAtMs - other.toldAtMs);
  const nextUrgent = waiting.filter(({ urgent }) => urgent).map(({ name }) => name);
  return {
    step: 0,
    total: here.length,
    notNeeded: 0,
    succeeded: here.filter(({ state }) => state === "succeeded").length,
    failed: here.filter(({ state }) => state === "failed").length,
    everFailed: here.filter(({ hasFailed }) => hasFailed).length,
    waiting: reachable.length,
    next: reachable.slice(0, batch).map(({ name }) => name),
    urgent: nextUrgent.length,
    nextUrgent,
    unreachable: waiting.filter(({ urgent, silent }) => !urgent && silent).length,
    inFlight: inFlight.length,
    awaited: flights.length,
    flights,
    returnable: 0,
    unwritten,
    silence: calm,
  };
}
