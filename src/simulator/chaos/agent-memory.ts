import type { Witness } from "./invariant.js";

/**
 * A name for what an agent has in memory of an instance, which lasts as long as the agent. `undefined` where a record has found no room on the
 * disk: then the instance goes on from what was written last, whatever was said before.
 */
export function memoryOf({ agents }: Witness, instance: string, incarnation: string): string | undefined {
  const refused = agents.get(instance)?.host.records.refused ?? 0;
  return refused > 0 ? undefined : `${instance} ${incarnation}`;
}
