import { createActor, type EventObject, type Actor as XstateActor } from "xstate";
import { memberMachine } from "../../machines/member.js";
import { playOnThreads } from "../../src/cli/run/rehearsal-threads.js";
import type { MachineRoot } from "../../src/runtime/machine-root.js";
import { MachineRunner } from "../../src/runtime/machine-runner.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { drawPlan } from "../../src/simulator/chaos/draw-plan.js";
import { live } from "../../src/simulator/chaos/life.js";
import { type RehearsalPlan, rehearsalPlanSchema } from "../../src/simulator/plan.js";
import { rehearse } from "../../src/simulator/rehearsal.js";
import { rehearseOnce } from "../../src/simulator/rehearse.js";
import type { Calls } from "../kit/processes.js";
import { healthyReport, settledRecord } from "../kit/reports.js";

/** What a rehearsal, or as many bare transitions, cost in a process of its own. */
export interface SimulatorCost {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Events that machines handled. */
  readonly transitions: number;
  /** The most that the process ever held. */
  readonly maxRssMiB: number;
}

export interface SimulatorCalls extends Calls {
  /** Runs of a roll-out that completes, 5 % at a time, one after another. */
  rehearse(options: { instances: number; runs: number }): Promise<SimulatorCost>;
  /** The same, on all cores, as `rollcall simulate` plays them; transitions are not counted. */
  rehearseOnThreads(options: { instances: number; runs: number }): Promise<SimulatorCost>;
  /** Random lives, with faults and all invariants: those of the seeds `bench-1` and so on. */
  lives(options: { seeds: number }): Promise<SimulatorCost>;
  /** XState's own actors of the machine of a member, each event at a time of its own on the same clock; as often as `runs`. */
  bare(options: { instances: number; transitions: number; runs: number }): Promise<SimulatorCost>;
}

export function createSimulatorCalls(): SimulatorCalls {
  return {
    rehearse: ({ instances, runs }) =>
      measured(async () => {
        const plan = planOf(instances, runs);
        let transitions = 0;
        for (let run = 0; run < runs; run++)
          transitions += (await rehearseOnce({ plan, strategy: plan.strategy, run })).transitions;
        return transitions;
      }),
    rehearseOnThreads: ({ instances, runs }) =>
      measured(async () => {
        await rehearse(planOf(instances, runs), playOnThreads);
        return 0;
      }),
    lives: ({ seeds }) => {
      const handled = countHandled();
      return measured(async () => {
        for (let seed = 1; seed <= seeds; seed++) {
          const { failure } = await live(drawPlan(`bench-${seed}`));
          if (failure !== null) throw new Error(`the life of bench-${seed} failed: ${failure.sentence}`);
        }
        return handled();
      });
    },
    bare: ({ instances, transitions, runs }) =>
      measured(async () => {
        for (let run = 0; run < runs; run++) await passBare(instances, Math.round(transitions / runs));
        return transitions;
      }),
  };
}

function planOf(instances: number, runs: number): RehearsalPlan {
  return rehearsalPlanSchema.parse({
    fleet: [{ instances }],
    strategy: { batch: "5%", failureThreshold: "1%" },
    behaviour: { updateTime: "lognormal(20s,8s)" },
    runs,
  });
}

/** @returns a function that says how many events the machines of all hosts of this process have handled since */
function countHandled(): () => number {
  const { handle } = MachineRunner.prototype;
  let handled = 0;
  MachineRunner.prototype.handle = function (this: MachineRunner, root: MachineRoot, event: EventObject) {
    handled++;
    return handle.call(this, root, event);
  };
  return () => handled;
}

async function passBare(instances: number, transitions: number): Promise<void> {
  const clock = createVirtualClock();
  const made: XstateActor<typeof memberMachine>[] = [];
  for (let index = 0; index < instances; index++) {
    const actor = createActor(memberMachine, { input: { record: settledRecord(index) } });
    actor.subscribe({ error: () => undefined });
    actor.start();
    made.push(actor);
  }
  const { state, ...known } = healthyReport(0, { seq: 0, whole: true });
  if (state === undefined) throw new Error("a whole report has a state");
  const healths = ["HEALTHY", "DEGRADED"] as const;
  for (let count = 0; count < transitions; count++) {
    const health = healths[Math.floor(count / instances) % 2]!;
    const actor = made[count % instances]!;
    clock.setTimer(count, () =>
      actor.send({ type: "report", sighting: { ...known, ledger: "own", state: { ...state, health } } }),
    );
  }
  await clock.advance(transitions);
}

async function measured(work: () => Promise<number>): Promise<SimulatorCost> {
  const start = process.cpuUsage();
  const startedAtMs = performance.now();
  const transitions = await work();
  const { user, system } = process.cpuUsage(start);
  return {
    cpuSeconds: (user + system) / 1e6,
    wallSeconds: (performance.now() - startedAtMs) / 1_000,
    transitions,
    maxRssMiB: process.resourceUsage().maxRSS / 1_024,
  };
}
