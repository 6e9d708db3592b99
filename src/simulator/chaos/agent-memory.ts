import type { Witness } from "./invariant.js";

/**
 * A name for what an agent has in memory of an instance. It lasts as long as the agent, unless a record finds no room on the disk: then the
 * instance goes on from what was written last.
 */
export function memoryOf({ agents }: Witness, instance: string, incarnation: string): string {
  return `${instance} ${incarnation} ${agents.get(instance)?.host.records.refused ?? 0}`;
}
