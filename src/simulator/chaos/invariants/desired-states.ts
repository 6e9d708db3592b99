import type { DesiredInstance } from "../../../contracts/instance.js";
import { sameVersion, type VersionPair, versionText } from "../../../contracts/version.js";
import { memoryOf } from "../agent-memory.js";
import { type MakeInvariant, Violation } from "../invariant.js";

/** A desired state as it was stored. */
interface Stored {
  readonly revision: number;
  readonly run: VersionPair | null;
}

/** What somebody has taken of an instance's desired states. */
interface Taken {
  /** The revision that it acts on. */
  revision: number;
  readonly activated: Set<number>;
}

/** W1 to W6, as far as they show before the fleet is at rest: how desired states reach agents. */
export const desiredStates: MakeInvariant = (witness) => {
  /** Of each instance by generation; of one that was in the fleet twice the newer. */
  const stored = new Map<string, Map<number, Stored>>();
  /** By instance and incarnation. */
  const acted = new Map<string, Taken>();
  /** The newest generation that was broadcast to each instance and taken. */
  const heard = new Map<string, number>();

  const storedOf = (instance: string, generation: number): Stored => {
    const found = stored.get(instance)?.get(generation);
    if (found === undefined)
      throw new Violation(`${instance} acts on generation ${generation}, which was never stored`);
    return found;
  };
  const takenBy = (memory: string | undefined): Taken => {
    const taken = acted.get(memory ?? "") ?? { revision: 0, activated: new Set() };
    if (memory !== undefined) acted.set(memory, taken);
    return taken;
  };

  return {
    id: "W",
    says: "desired states reach agents as watches of etcd do: in order, once, whole, again after a gap, and from where an agent left off",
    committed({ changes }) {
      for (const { kind, id, after, revision } of changes) {
        if (kind !== "desired.instance" || after === undefined) continue;
        const of = stored.get(id) ?? new Map<number, Stored>();
        stored.set(id, of.set(after.generation, { revision, run: versionsOf(after) }));
      }
    },
    taken({ subject, data }, by) {
      if (!subject.includes(".desired.instance.") || data.length === 0) return;
      const instance = subject.slice(subject.lastIndexOf(".") + 1);
      if (witness.agents.get(instance)?.busName !== by) return;
      const { generation } = JSON.parse(new TextDecoder().decode(data)) as DesiredInstance;
      heard.set(instance, Math.max(heard.get(instance) ?? 0, generation));
    },
    reported({ instance, incarnation, observedGeneration: generation, state }) {
      if (generation === 0) return;
      const { revision, run } = storedOf(instance, generation);
      const taken = takenBy(memoryOf(witness, instance, incarnation));
      if (revision < taken.revision)
        throw new Violation(`${instance} acts on revision ${revision} after ${taken.revision}`);
      // Not of the first report of an incarnation: it goes by its journal.
      if (taken.revision !== 0 && revision > taken.revision && (heard.get(instance) ?? 0) < generation)
        witness.mark("missedBroadcastHealed");
      taken.revision = revision;
      if (state?.phase !== "ACTIVE" || state.running === null) return;
      if (!sameVersion(state.running, run))
        throw new Violation(
          `${instance} runs ${versionText(state.running)} as generation ${generation}, which asks for ${textOf(run)}`,
        );
    },
    done({ instance, what, release, generation, by }) {
      if (what === "stop" || generation === 0) return;
      const { run } = storedOf(instance, generation);
      if (run?.release !== release)
        throw new Violation(
          `${instance} does ${what} of ${release} for generation ${generation}, which asks for ${textOf(run)}`,
        );
      if (what !== "activate") return;
      const { activated } = takenBy(memoryOf(witness, instance, by));
      if (activated.has(generation))
        throw new Violation(`${by} makes generation ${generation} active a second time`);
      activated.add(generation);
    },
  };
};

function versionsOf({ run }: DesiredInstance): VersionPair | null {
  return run === null ? null : { release: run.release.version, config: run.config?.version ?? null };
}

function textOf(version: VersionPair | null): string {
  return version === null ? "nothing" : versionText(version);
}
