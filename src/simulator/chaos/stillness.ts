import type { Commit } from "./ledger-mirror.js";

/** What a fleet at rest writes of itself, now and then: who leads it (the lead itself is another matter), that it is as it should be, and in which formats. */
const quiet: ReadonlySet<string> = new Set([
  "coordinator.leading",
  "fleet.reconciled",
  "ledger.formats.raised",
  // Ten minutes after an app did not get there, and some time after it did.
  "app.mismatched",
  "app.matched",
]);

/** What in a batch must not happen in a fleet at rest: anything but renewals of the lease, and what a coordinator notes of itself. */
export function stirIn({ from, changes, events, others }: Commit): string | undefined {
  const [change] = changes;
  if (change !== undefined) return `${from} writes ${change.kind} ${change.id}`;
  const event = events.find(({ type }) => !quiet.has(type));
  if (event !== undefined) return `${from} notes ${event.type} of ${event.id}`;
  return others.some(({ key }) => key === "epoch") ? `${from} takes the lead` : undefined;
}
