import { type MakeInvariant, Violation } from "../invariant.js";

/** S14. */
export const bounds: MakeInvariant = (witness) => {
  const check = () => {
    for (const { stats } of witness.hosts) {
      const { restarts, givenUp, failedCommands, deadLettersBy } = stats;
      if (restarts + givenUp + failedCommands + deadLettersBy.failed + deadLettersBy.mailboxFull > 0)
        throw new Violation(`an actor has failed, or had no room: ${JSON.stringify(stats)}`);
    }
  };
  return {
    id: "S14",
    says: "no actor throws, none is restarted, and no mailbox overflows",
    faultsOver: check,
    atRest: check,
  };
};
