import type { Crew, CrewParts } from "./crew.js";
import { writeRecords } from "./history.js";
import { historyOf, membersOf, newVersion } from "./members.js";
import type { RehearsalPlan, Strategy } from "./plan.js";
import { RealAgents } from "./real-agents.js";
import { type Moment, Recorder } from "./recorder.js";
import { StandIns } from "./stand-ins.js";
import { SimulatedWorld } from "./world.js";

/** How a run ended. `held`: it waits for a person; `unfinished`: it was given up after {@link runMaxMs}. */
export const runOutcomes = ["completed", "rolledBack", "failed", "held", "unfinished"] as const;
export type RunOutcome = (typeof runOutcomes)[number];

/** What came of one run. */
export interface RunResult {
  readonly outcome: RunOutcome;
  /** From the creation of the deployment to the end, a rollback included; until it was held, if it is. */
  readonly durationMs: number;
  /** Instances on which the new version ever ran. */
  readonly ran: number;
  /** Instances that were told anything. */
  readonly touched: number;
  /** Instances that ever failed. */
  readonly failed: number;
  /** The most instances that were in flight or had failed at one time. */
  readonly outMax: number;
  /** It was held at least once. */
  readonly wasHeld: boolean;
}

/** What plays the instances: stand-ins without what says nothing new, stand-ins that say all, real agents. */
export type CrewKind = "standIns" | "standInsWithBeats" | "realAgents";

export interface RunOptions {
  readonly plan: RehearsalPlan;
  readonly strategy: Strategy;
  /** Counts from 0; with the plan's seed it decides every draw. */
  readonly run: number;
  readonly crew?: CrewKind;
  readonly keepsCourse?: boolean;
  /** How the coordinator's machines run; they come to the same, and states take less memory, which is the default. */
  readonly machinesAs?: "actors" | "states";
}

/** What a run came to, and how. */
export interface RunReport {
  readonly result: RunResult;
  /** Empty unless it was asked for. */
  readonly course: readonly Moment[];
  /** Events that the coordinator's actors handled. */
  readonly transitions: number;
}

/** One that is held for so long waits for a person. */
const heldMaxMs = 600_000;
const runMaxMs = 30 * 86_400_000;
/** In which a coordinator that has taken over judges nobody. */
const listenMaxMs = 60_000;

/**
 * Plays one roll-out, in virtual time, with the coordinator of production.
 *
 * @example const { result } = await rehearseOnce({ plan, strategy: plan.strategy, run: 0 });
 */
export async function rehearseOnce(options: RunOptions): Promise<RunReport> {
  const { strategy, run } = options;
  const plan = { ...options.plan, strategy };
  // Nobody asks for the audit log of a rehearsal.
  const world = new SimulatedWorld({ seed: `${plan.seed}/run-${run}`, auditMax: 0 });
  const { clock } = world;
  const recorder = new Recorder(() => clock.monotonicMs(), options.keepsCourse ?? false);
  const members = membersOf(plan);
  const crew = crewOf(options.crew ?? "standIns", {
    world,
    plan,
    members,
    fates: world.random.fork("fates"),
    listener: { onRan: (instance) => recorder.ran(instance) },
  });
  const ledger = await world.openLedger(world.hub.connect("history"));
  const isSeeded = !(crew instanceof RealAgents);
  const history = historyOf({ plan, members: isSeeded ? members : [], atMs: clock.nowMs() });
  await world.during(writeRecords(ledger, history));
  const { coordinator, host } = await world.startCoordinator("coordinator", {
    leaseMs: plan.leaseMs,
    machinesAs: options.machinesAs ?? "states",
    onCommit: (batch) => recorder.see(batch),
    ...(crew.unsentAtMs && { unsentAtMs: crew.unsentAtMs }),
  });
  const { plane } = coordinator;
  await crew.start({
    ledgerId: ledger.ledgerId,
    rollOut: async (release) => {
      const { id } = await world.call(plane, "deployments.create", {
        release,
        selector: null,
        batch: "100%",
        minHealthyMs: 0,
      });
      for (;;) {
        const { deployment } = await world.call(plane, "deployments.get", { deployment: id });
        if (deployment.outcome !== null) return;
        await clock.advance(1_000);
      }
    },
  });
  await clock.advance(listenMaxMs);
  recorder.begin();
  await world.call(plane, "deployments.create", { release: newVersion, ...strategy });
  const isHeldUp = () =>
    recorder.heldSinceMs !== undefined && clock.monotonicMs() - recorder.heldSinceMs >= heldMaxMs;
  const untilMs = clock.monotonicMs() + runMaxMs;
  await clock.runUntil(() => recorder.isOver || isHeldUp() || clock.monotonicMs() >= untilMs, {
    limitMs: runMaxMs,
  });
  return { result: resultOf(recorder), course: recorder.course, transitions: host.stats.handled };
}

function crewOf(kind: CrewKind, parts: CrewParts): Crew {
  if (kind === "realAgents") return new RealAgents(parts);
  return new StandIns(parts, { beats: kind === "standInsWithBeats" });
}

function resultOf(recorder: Recorder): RunResult {
  const { elapsedMs, ...figures } = recorder.figures;
  const outcome = outcomeOf(recorder);
  return { outcome, durationMs: outcome === "held" ? elapsedMs - heldMaxMs : elapsedMs, ...figures };
}

function outcomeOf({ isOver, heldSinceMs, forward, rollback }: Recorder): RunOutcome {
  if (!isOver) return heldSinceMs === undefined ? "unfinished" : "held";
  if (forward?.outcome === "completed") return "completed";
  return rollback?.outcome === "rolled_back" ? "rolledBack" : "failed";
}
