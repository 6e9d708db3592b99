import { RollcallError } from "../base/errors.js";
import type { Clock, LedgerFollower, Subscription, Timer } from "../base/ports.js";
import { keys } from "../contracts/keys.js";
import { entryOf } from "./records.js";
import type { Store, StoredMessage } from "./store.js";

/** What cannot be understood may have been put right by then. */
const lookAgainMs = 30_000;

/** Follows a ledger by what its store hands over. A restore changes its identity: it is begun anew then. */
export function followLedger(
  { fleet, store, clock }: { readonly fleet: string; readonly store: Store; readonly clock: Clock },
  follower: LedgerFollower,
): Subscription {
  let identity: string | undefined;
  let lookAgain: Timer | undefined;
  const isAnother = (message: StoredMessage): boolean => {
    if (message.key !== keys.ledger) return false;
    const before = identity;
    identity = message.body;
    return before !== undefined && before !== identity;
  };
  const following = store.follow({
    began: () => {
      identity = undefined;
      lookAgain?.cancel();
      lookAgain = undefined;
      follower.began();
    },
    message: (message) => {
      try {
        if (isAnother(message)) following.again();
        else follower.entry(entryOf(fleet, message));
      } catch (thrown) {
        if (!(thrown instanceof RollcallError)) throw thrown;
        lookAgain ??= clock.setTimer(lookAgainMs, () => following.again());
        follower.failed(thrown);
      }
    },
    inStep: () => {
      if (lookAgain === undefined) follower.inStep();
    },
    failed: (problem) => follower.failed(problem),
  });
  return {
    unsubscribe: () => {
      lookAgain?.cancel();
      following.unsubscribe();
    },
  };
}
