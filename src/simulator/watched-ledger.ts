import type { Leadership, Ledger, LedgerBatch } from "../base/ports.js";

/** Called with each batch once it is written, and by whom. */
export type CommitListener = (
  batch: LedgerBatch,
  by: { readonly holder: string; readonly epoch: number },
) => void;

/** A ledger of which somebody sees every batch that a leader has written: the whole course of a roll-out. */
export function watchedLedger(ledger: Ledger, onCommit: CommitListener): Ledger {
  return {
    fleet: ledger.fleet,
    get ledgerId() {
      return ledger.ledgerId;
    },
    get restoredFrom() {
      return ledger.restoredFrom;
    },
    get: (key) => ledger.get(key),
    watch: (key, handle) => ledger.watch(key, handle),
    follow: (follower) => ledger.follow(follower),
    readAll: () => ledger.readAll(),
    lease: () => ledger.lease(),
    close: () => ledger.close(),
    async acquire(claim) {
      const got = await ledger.acquire(claim);
      return "heldBy" in got ? got : watchedLeadership(got, onCommit);
    },
  };
}

function watchedLeadership(leadership: Leadership, onCommit: CommitListener): Leadership {
  return {
    epoch: leadership.epoch,
    holder: leadership.holder,
    ledgerNowMs: () => leadership.ledgerNowMs(),
    validUntilMs: () => leadership.validUntilMs(),
    renew: () => leadership.renew(),
    resign: () => leadership.resign(),
    async commit(batch) {
      const written = await leadership.commit(batch);
      onCommit(batch, leadership);
      return written;
    },
  };
}
