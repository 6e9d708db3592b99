import { isNewerLedger } from "../src/base/ledger-id.js";

/** Which of the ledger's words about one object was accepted. */
export interface Accepted {
  /** The newest desired state that was accepted, by the order of the ledger. */
  readonly accepted: { readonly ledgerId: string; readonly revision: number } | null;
  /** Ledgers that were left for a newer one: nothing of them is accepted any more. */
  readonly retired: readonly string[];
}

export const retiredMax = 8;

/**
 * The ledger decides what is newer: by revision within one ledger, and of two ledgers by when they were minted. Where an
 * identity does not say, a ledger that was never seen before is newer than any.
 */
export function isNewer({ accepted, retired }: Accepted, ledgerId: string, revision: number): boolean {
  if (accepted === null) return true;
  if (accepted.ledgerId === ledgerId) return revision > accepted.revision;
  return isNewerLedger(ledgerId, accepted.ledgerId) ?? !retired.includes(ledgerId);
}

/** What is remembered once something newer is accepted. */
export function accept({ accepted, retired }: Accepted, ledgerId: string, revision: number): Accepted {
  const isLeft = accepted !== null && accepted.ledgerId !== ledgerId;
  return {
    accepted: { ledgerId, revision },
    retired: isLeft ? [...retired, accepted.ledgerId].slice(-retiredMax) : retired,
  };
}
