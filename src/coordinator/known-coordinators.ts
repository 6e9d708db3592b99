import type { LeaseHeld } from "../base/ports.js";
import { type CoordinatorView, doesNotAnswer } from "../contracts/views.js";

/** The one that is asked and, by the lease, the one that leads: of that nothing else is known before it answers itself. */
export function knownCoordinators(self: CoordinatorView, lease: LeaseHeld | undefined): CoordinatorView[] {
  if (lease === undefined) return [self];
  const { heldBy, epoch, since: sinceMs, renewedAtMs } = lease;
  if (heldBy === self.id) return [{ ...self, epoch, sinceMs, renewedAtMs }];
  const leading: CoordinatorView = {
    id: heldBy,
    role: "leading",
    epoch,
    sinceMs,
    renewedAtMs,
    doing: doesNotAnswer,
    version: "?",
    node: "?",
    problem: null,
  };
  return [self, leading];
}
