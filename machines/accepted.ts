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

/** The highest epoch that was heard of, and the ledger that counts it; `null`: it was not said. */
export interface HeardEpoch {
  readonly ledgerId: string | null;
  readonly epoch: number;
}

/** What is known of epochs once one more is heard of: a newer ledger counts them anew, and of an older one none says anything. */
export function laterEpoch(known: HeardEpoch, heard: HeardEpoch): HeardEpoch {
  const order = orderOf(known, heard);
  if (order === "newer") return heard;
  if (order === "older") return known;
  return { ledgerId: known.ledgerId ?? heard.ledgerId, epoch: Math.max(known.epoch, heard.epoch) };
}

/** Whether whoever speaks in that epoch leads no more: a later one, or one of a newer ledger, was heard of. */
export function isOver(known: HeardEpoch, heard: HeardEpoch): boolean {
  const order = orderOf(known, heard);
  return order === "older" || (order === "same" && heard.epoch < known.epoch);
}

/** Where it cannot be told which ledger is newer, their epochs are compared as if they were of one. */
function orderOf(known: HeardEpoch, heard: HeardEpoch): "newer" | "older" | "same" {
  if (known.ledgerId === null || heard.ledgerId === null || known.ledgerId === heard.ledgerId) return "same";
  const isNewer = isNewerLedger(heard.ledgerId, known.ledgerId);
  if (isNewer === undefined) return "same";
  return isNewer ? "newer" : "older";
}
