import type { DesiredInstance } from "../../../contracts/instance.js";
import { memoryOf } from "../agent-memory.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** What is known of an instance on one machine, since it is in the fleet. */
interface Known {
  /** The newest generation that an agent has made active. */
  activated: number;
  /** What the incarnation that reports acted on last. */
  incarnation: string | undefined;
  observed: number;
}

/** An agent's connections are counted; all those of one machine begin alike. */
function machineOf(connection: string): string {
  return connection.slice(0, connection.lastIndexOf("-"));
}

/** A reconciliation says the same once more, under the same generation. */
function mayFollow(before: DesiredInstance, after: DesiredInstance): boolean {
  if (after.generation !== before.generation) return after.generation > before.generation;
  return after.agent === before.agent && JSON.stringify(after.run) === JSON.stringify(before.run);
}

/** S7. */
export const generations: MakeInvariant = (witness) => {
  const knowledge = new Map<string, Map<string, Known>>();
  /** Of each instance, also of one that has left: what it acts on may be of before. */
  const newest = new Map<string, number>();
  const of = (instance: string, by: string) => {
    const machines = knowledge.get(instance) ?? new Map<string, Known>();
    knowledge.set(instance, machines);
    const machine = machineOf(by);
    const known = machines.get(machine) ?? { activated: 0, incarnation: undefined, observed: 0 };
    machines.set(machine, known);
    return known;
  };

  return {
    id: "S7",
    says: "what is asked of an instance has ever higher generations, and no agent acts on less than it did, or on more than was asked",
    committed({ changes }) {
      for (const { kind, id, before, after } of changes) {
        // Who comes back goes on from what it says that it acts on.
        if (kind === "instance" && after === undefined) knowledge.delete(id);
        if (kind !== "desired.instance" || after === undefined) continue;
        if (before !== undefined && !mayFollow(before, after))
          throw new Violation(`${id} is told generation ${after.generation} after ${before.generation}`);
        newest.set(id, Math.max(newest.get(id) ?? 0, after.generation));
        const record = witness.ledger.instances.get(id);
        if (record?.generation !== after.generation)
          throw new Violation(
            `${id} is told generation ${after.generation}, its record has ${record?.generation}`,
          );
      }
    },
    reported({ instance, incarnation: process, observedGeneration: observed }, by) {
      const incarnation = memoryOf(witness, instance, process);
      const told = newest.get(instance) ?? 0;
      if (observed > told)
        throw new Violation(`${instance} acts on generation ${observed}, it was told ${told} at most`);
      const known = of(instance, by);
      if (incarnation !== undefined && incarnation === known.incarnation && observed < known.observed)
        throw new Violation(`${instance} acts on generation ${observed} after ${known.observed}`);
      if (observed < known.activated)
        throw new Violation(
          `${instance} acts on generation ${observed} after it made ${known.activated} active`,
        );
      known.incarnation = incarnation;
      known.observed = observed;
    },
    done({ instance, what, generation, by }) {
      const told = newest.get(instance) ?? 0;
      if (generation > told)
        throw new Violation(`${instance} does something for generation ${generation}, it was told ${told}`);
      if (what !== "activate") return;
      const known = of(instance, by);
      if (generation < known.activated)
        throw new Violation(`${instance} makes generation ${generation} active after ${known.activated}`);
      known.activated = generation;
    },
  };
};
