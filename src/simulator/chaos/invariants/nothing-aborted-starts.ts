import { subjectsOf } from "../../../contracts/subjects.js";
import { memoryOf } from "../agent-memory.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** From the decision to start a process until it is done: two writes of an agent's records, and turns. */
const underWayMs = 100;
/** An agent that has not been answered for so long goes on with what it knows. */
const asksForMs = 4_000;

/** What an agent knows of what its instance is told. */
interface Known {
  readonly memory: string | undefined;
  readonly sinceMs: number;
  /** The newest generation that it was shown, and when. */
  generation: number;
  atMs: number;
}

/** D1. */
export const nothingAbortedStarts: MakeInvariant = (witness) => {
  const { ledger } = witness;
  const desiredBegin = subjectsOf("default").desired("desired.instance.");
  const known = new Map<string, Known>();
  /** When each life of an agent sent its first message. */
  const bornAtMs = new Map<string, number>();
  /** When the newest desired state of each instance was stored. */
  const storedAtMs = new Map<string, number>();
  /** Generations that became active once: what `current` points at serves again when something newer fails. */
  const active = new Set<string>();

  const knownBy = (instance: string, bus: string): Known => {
    const memory = memoryOf(witness, instance, bus);
    const found = known.get(instance);
    if (found !== undefined && found.memory === memory) return found;
    const fresh = { memory, sinceMs: bornAtMs.get(bus) ?? witness.nowMs(), generation: 0, atMs: 0 };
    known.set(instance, fresh);
    return fresh;
  };

  const learn = (by: string, data: Uint8Array): void => {
    const { instance, generation } = JSON.parse(decoder.decode(data)) as {
      instance?: string;
      generation?: number;
    };
    if (instance === undefined || generation === undefined) return;
    const own = knownBy(instance, by);
    if (generation <= own.generation) return;
    own.generation = generation;
    own.atMs = witness.nowMs();
  };

  return {
    id: "D1",
    says: "an agent starts nothing that it knows to be over, and one that comes back reads what it is to run before it starts anything",
    committed({ atMs, changes }) {
      for (const { kind, id, after } of changes) {
        if (kind !== "desired.instance") continue;
        storedAtMs.set(id, atMs);
        // It has left. Should it come back, its generations begin anew, or after what it acts on by then.
        if (after === undefined) known.delete(id);
      }
    },
    sent({ from }) {
      if (!bornAtMs.has(from) && from.startsWith("agent-")) bornAtMs.set(from, witness.nowMs());
    },
    taken({ from, subject, data }, by) {
      if (from !== "ledger-store" || !by.startsWith("agent-") || data.length === 0) return;
      if (subject.startsWith(desiredBegin) || !subject.startsWith("rollcall.")) learn(by, data);
    },
    done({ atMs, instance, what, release, generation, by }) {
      const key = `${instance}/${generation}`;
      if (what === "activate") active.add(key);
      if (what !== "start" || active.has(key)) return;
      const own = knownBy(instance, by);
      if (own.memory === undefined) return;
      if (own.generation > generation && atMs - own.atMs > underWayMs)
        throw new Violation(
          `${instance} starts ${release} of generation ${generation}, and knows generation ${own.generation} for ${atMs - own.atMs} ms`,
        );
      const cameBackAtMs = Math.max(own.sinceMs, witness.reconnectedAtMs(by) ?? 0);
      // A new life has nothing under way.
      const fromMs = cameBackAtMs === own.sinceMs ? 0 : underWayMs;
      const newest = ledger.desired.get(instance);
      const hasAsked = own.atMs >= cameBackAtMs && own.generation > 0;
      if (newest === undefined || newest.generation <= generation || hasAsked) return;
      const sinceMs = atMs - cameBackAtMs;
      if ((storedAtMs.get(instance) ?? 0) < cameBackAtMs && sinceMs >= fromMs && sinceMs < asksForMs)
        throw new Violation(
          `${instance} came back ${sinceMs} ms ago and starts ${release} of generation ${generation} without having read generation ${newest.generation}`,
        );
    },
  };
};

const decoder = new TextDecoder();
