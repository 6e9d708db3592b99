import { createActor, type Actor as XstateActor } from "xstate";
import { memberMachine } from "../../machines/member.js";
import { createVirtualClock } from "../../src/runtime/virtual-clock.js";
import { rehearsalPlanSchema } from "../../src/simulator/plan.js";
import { rehearseOnce } from "../../src/simulator/rehearse.js";
import type { Calls } from "../kit/processes.js";
import { healthyReport, settledRecord } from "../kit/reports.js";

/** What a rehearsal, or as many bare transitions, cost in a process of its own. */
export interface SimulatorCost {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly transitions: number;
  /** The most that the process ever held. */
  readonly maxRssMb: number;
}

export interface SimulatorCalls extends Calls {
  /** One run of a roll-out that completes, 5 % at a time. */
  rehearse(options: { instances: number }): Promise<SimulatorCost>;
  /** XState's own actors of the machine of a member, each event at a time of its own on the same clock. */
  bare(options: { instances: number; transitions: number }): Promise<SimulatorCost>;
}

export function createSimulatorCalls(): SimulatorCalls {
  return {
    rehearse: ({ instances }) =>
      measured(async () => {
        const plan = rehearsalPlanSchema.parse({
          fleet: [{ instances }],
          strategy: { batch: "5%", failureThreshold: "1%" },
          behaviour: { updateTime: "lognormal(20s,8s)" },
        });
        return (await rehearseOnce({ plan, strategy: plan.strategy, run: 0 })).transitions;
      }),
    bare: ({ instances, transitions }) =>
      measured(async () => {
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
            actor.send({
              type: "report",
              sighting: { ...known, ledger: "own", state: { ...state, health } },
            }),
          );
        }
        await clock.advance(transitions);
        return transitions;
      }),
  };
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
    maxRssMb: process.resourceUsage().maxRSS / 1_024,
  };
}
