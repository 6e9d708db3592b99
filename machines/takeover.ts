import type { InstanceRecord } from "../src/contracts/deployment.js";

/**
 * The instances that a new leader wants to hear first, since a roll-out stands still until it has: those in flight, then those
 * whose turn comes. All others report by themselves within an interval.
 */
export function firstToHear(records: Iterable<InstanceRecord>, max: number): string[] {
  const inFlight: string[] = [];
  const waiting: string[] = [];
  for (const { id, claim } of records) {
    if (claim?.state === "told") inFlight.push(id);
    else if (claim?.state === "waiting" && waiting.length < max) waiting.push(id);
  }
  return [...inFlight, ...waiting].slice(0, max);
}
