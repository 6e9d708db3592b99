/** Who is told next of what a finished deployment still owes: instances that were away, or joined after it. Pure. */

export interface Owed {
  readonly instance: string;
  readonly deployment: string;
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
