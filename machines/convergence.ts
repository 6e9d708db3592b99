import type { WhoseWord } from "./member-events.js";

/** Who is told next of what a finished deployment still owes: instances that were away, or joined after it. Pure. */

export interface Owed {
  readonly instance: string;
  readonly deployment: string;
}

/**
 * Whether an instance keeps what it runs, whatever a finished deployment owes it. One that acts on the word of another ledger may
 * be further than a deployment that comes from the backup: it is told by deployments that were made since.
 *
 * @param restoredAtMs what was made before it comes from a backup; `null`: nothing does
 */
export function keepsWhatItRuns(word: WhoseWord, madeAtMs: number, restoredAtMs: number | null): boolean {
  return word !== "own" && restoredAtMs !== null && madeAtMs < restoredAtMs;
}

/**
 * Instances to tell now, in that deployment's batch size each; its failures raise an alert and count for nothing.
 *
 * @param owed reachable, unclaimed instances to which something is owed
 * @param inFlight how many instances are on their way to what a deployment owed them
 */
export function nextToConverge(
  owed: Iterable<Owed>,
  inFlight: ReadonlyMap<string, number>,
  batchOf: (deployment: string) => number,
): Owed[] {
  const free = new Map<string, number>();
  const next: Owed[] = [];
  for (const one of owed) {
    const slots = free.get(one.deployment) ?? batchOf(one.deployment) - (inFlight.get(one.deployment) ?? 0);
    if (slots > 0) next.push(one);
    free.set(one.deployment, Math.max(0, slots - 1));
  }
  return next;
}
