import type { MakeInvariant } from "../invariant.js";
import type { Happening } from "../life-plan.js";

const restingPhases: ReadonlySet<string> = new Set(["ACTIVE", "FAILED", "STOPPED"]);

/** What an instance said last: its phase, and its process with the agent that said so. */
interface Said {
  readonly phase: string;
  readonly pid: number | null;
  readonly incarnation: string;
}

/** No invariant: sees what others hinge on, and marks it. */
export const landmarks: MakeInvariant = (witness) => {
  const { ledger, plan } = witness;
  /** By its connection, which has its name. */
  let leader = "";
  const said = new Map<string, Said>();

  const leaderStruck = (happening: Happening) => {
    if (happening.do === "clockStep") witness.mark("clockSteppedWhileLeading");
    if (happening.do !== "coordinator") return;
    const { how, forMs } = happening;
    if (how === "stall" && forMs > plan.leaseMs) witness.mark("leaderStalledPastLease");
    const isInWave = [...ledger.instances.values()].some(({ claim }) => claim?.state === "told");
    if (how === "kill" && isInWave) witness.mark("leaderKilledInWave");
  };

  return {
    id: "M",
    says: "what must happen in some life is marked where it does",
    happens(happening, struck) {
      if (struck.includes(leader)) leaderStruck(happening);
      if (happening.do !== "agent" || (happening.how !== "kill" && happening.how !== "reboot")) return;
      for (const id of struck)
        if (!restingPhases.has(said.get(id)?.phase ?? "STOPPED")) witness.mark("agentRestartedInPhase");
    },
    committed({ from, others }) {
      if (others.some(({ key }) => key === "epoch")) leader = from;
    },
    refused(_, kind) {
      if (kind === "duplicate") witness.mark("answerLost");
      if (kind === "full") witness.mark("fullStore");
    },
    reported({ instance, incarnation, state }) {
      if (state === undefined) return;
      const { phase, pid } = state;
      const before = said.get(instance);
      if (pid !== null && before?.pid === pid && before.incarnation !== incarnation)
        witness.mark("adoptedProcess");
      // Of a process that an agent has just adopted it says nothing yet.
      said.set(
        instance,
        pid === null && before !== undefined ? { ...before, phase } : { incarnation, phase, pid },
      );
    },
  };
};
