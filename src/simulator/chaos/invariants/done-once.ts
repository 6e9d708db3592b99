import { memoryOf } from "../agent-memory.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** Starts of one generation on one host. */
interface Doings {
  starts: number;
  /** In which memory they are counted, and when the last was. */
  memory: string;
  startedAtMs: number;
}

/** A process starts once and is restarted so often in a row: the default of a release. */
const startsMax = 1 + 3;
/** Up for so long, earlier restarts are forgiven. */
const sustainedMs = 60_000;

/** S10, of what is done. */
export const doneOnce: MakeInvariant = (witness) => {
  const doings = new Map<string, Map<string, Doings>>();

  const doingsOf = (instance: string, key: string): Doings => {
    const all = doings.get(instance) ?? new Map<string, Doings>();
    doings.set(instance, all);
    const found = all.get(key) ?? { starts: 0, memory: "", startedAtMs: 0 };
    all.set(key, found);
    return found;
  };

  return {
    id: "S10",
    says: "a process starts again only when it has ended, and so often in a row as it may",
    committed({ changes }) {
      // Something new is asked: what was there before may have to serve again.
      for (const { kind, id } of changes) if (kind === "desired.instance") doings.delete(id);
    },
    done({ atMs, instance, what, release, generation, by }) {
      if (what !== "start") return;
      const own = doingsOf(instance, `${generation}/${release}`);
      const memory = memoryOf(witness, instance, by);
      if (memory === undefined || own.memory !== memory || atMs - own.startedAtMs >= sustainedMs)
        own.starts = 0;
      own.memory = memory ?? "";
      own.starts++;
      own.startedAtMs = atMs;
      const twin = witness.agents
        .get(instance)
        ?.host.processes.living.find(
          (process) => process.generation === generation && process.release === release,
        );
      if (twin !== undefined)
        throw new Violation(`${instance} starts ${release} of generation ${generation}, which runs`);
      // What was active before serves again until the update begins, and after it has failed.
      const runs = generation === witness.ledger.desired.get(instance)?.generation ? 1 : 2;
      if (own.starts > runs * startsMax)
        throw new Violation(
          `${instance} starts ${release} of generation ${generation} for the ${own.starts}th time`,
        );
    },
  };
};
