import type { WhoseWord } from "./member-events.js";

/** Who is told next of what a finished deployment still owes: instances that were away, or joined after it; and whose time is over. Pure. */

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

/** An instance on its way to what it was owed. */
export interface UnderWay {
  /** Since when the ledger has what it was told, in ledger time: from then on it can know. `null`: it has it not yet. */
  readonly toldAtMs: number | null;
  readonly deadlineMs: number;
}

/** Between two looks at whether anybody may be judged again. */
const judgeLookMaxMs = 5_000;

/**
 * How long an instance is not to be judged; 0: its time is over. `null`: its time has not begun.
 *
 * @param judgeFromMs when instances may be judged again by what was not heard of them: what it said may still be on its way, after a
 * takeover, a reconnect or a stall
 */
export function patienceMs(
  { toldAtMs, deadlineMs }: UnderWay,
  nowMs: number,
  judgeFromMs: number,
): number | null {
  if (toldAtMs === null) return null;
  const leftMs = toldAtMs + deadlineMs - nowMs;
  return leftMs > 0 ? leftMs : Math.min(Math.max(0, judgeFromMs - nowMs), judgeLookMaxMs);
}
