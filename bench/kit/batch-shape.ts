/** What a batch of the ledger was made of: the length of each of its bodies. */
export interface BatchShape {
  /** Desired states, which the server repeats to the agents. */
  readonly desired: readonly number[];
  /** Events, with the headers that each carries. */
  readonly events: readonly number[];
  /** Records, deletions, and the end of the audit log. */
  readonly others: readonly number[];
}

export function messagesOf({ desired, events, others }: BatchShape): number {
  return desired.length + events.length + others.length;
}
