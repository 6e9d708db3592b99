import type { Clock, LeaseHeld, Ledger } from "../base/ports.js";
import { type CoordinatorView, doesNotAnswer } from "../contracts/views.js";
import { soon } from "./soon.js";

/** What a list of coordinators waits for the ledger. */
const leaseMs = 500;

/** The lease as it stands; `undefined` if there is none, or the ledger does not say so within a moment. */
export function leaseSoon(ledger: Ledger, clock: Clock): Promise<LeaseHeld | undefined> {
  return soon(clock, ledger.lease(), leaseMs).catch(() => undefined);
}

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
