import type { MakeInvariant } from "../invariant.js";
import type { Happening } from "../life-plan.js";

const restingPhases: ReadonlySet<string> = new Set(["ACTIVE", "FAILED", "STOPPED"]);

/** What an instance said last: its phase, and its process, how that is, with the agent that said so. */
interface Said {
  readonly phase: string;
  readonly health: string;
  readonly pid: number | null;
  readonly incarnation: string;
}

/** No invariant: sees what others hinge on, and marks it. */
export const landmarks: MakeInvariant = (witness) => {
  const { ledger, plan } = witness;
  /** By its connection, which has its name. */
  let leader = "";
  const said = new Map<string, Said>();
  /** What each instance has failed on. */
  const failedOn = new Set<string>();

  const leaderStruck = (happening: Happening) => {
    if (happening.do === "clockStep") witness.mark("clockSteppedWhileLeading");
    if (happening.do !== "coordinator") return;
    const { how, forMs } = happening;
    if (how === "stall" && forMs > plan.leaseMs) witness.mark("leaderStalledPastLease");
    const isInWave = [...ledger.instances.values()].some(({ claim }) => claim?.state === "told");
    if (how === "kill" && isInWave) witness.mark("leaderKilledInWave");
  };

  const isUnderWay = () => [...ledger.deployments.values()].some(({ outcome }) => outcome === null);

  return {
    id: "M",
    says: "what must happen in some life is marked where it does",
    happens(happening, struck) {
      if (struck.includes(leader)) leaderStruck(happening);
      if (happening.do !== "agent" || (happening.how !== "kill" && happening.how !== "reboot")) return;
      for (const id of struck)
        if (!restingPhases.has(said.get(id)?.phase ?? "STOPPED")) witness.mark("agentRestartedInPhase");
    },
    committed({ from, others, events }) {
      if (others.some(({ key }) => key === "epoch")) leader = from;
      for (const { type, id, data } of events) {
        const what = `${id} ${JSON.stringify(data.version)}`;
        if (type === "instance.failed") failedOn.add(what);
        if (type === "instance.succeeded" && failedOn.has(what)) witness.mark("wentWellWhenRetried");
        if (type === "instance.relabelled" && isUnderWay()) witness.mark("relabelled");
      }
    },
    refused(_, kind) {
      if (kind === "duplicate") witness.mark("answerLost");
      if (kind === "full") witness.mark("fullStore");
    },
    reported({ instance, incarnation, state }) {
      if (state === undefined) return;
      const { phase, health, pid } = state;
      const before = said.get(instance);
      if (pid !== null && before?.pid === pid && before.incarnation !== incarnation)
        witness.mark("adoptedProcess");
      if (pid !== null && before?.pid === pid && before.health === "FAILED" && health === "HEALTHY")
        witness.mark("recovered");
      // Of a process that an agent has just adopted it says nothing yet.
      said.set(
        instance,
        pid === null && before !== undefined
          ? { ...before, phase, health }
          : { incarnation, phase, health, pid },
      );
    },
  };
};
