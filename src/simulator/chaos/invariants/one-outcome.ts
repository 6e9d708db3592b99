import { type MakeInvariant, Violation } from "../invariant.js";

/** S4. */
export const oneOutcome: MakeInvariant = (witness) => ({
  id: "S4",
  says: "a deployment comes to exactly one outcome, and nothing about it changes from then on",
  committed({ changes }) {
    for (const change of changes) {
      if (change.kind !== "deployment") continue;
      const { id, before, after } = change;
      if (before === undefined || before.outcome === null || after === undefined) continue;
      if (JSON.stringify(before) !== JSON.stringify(after))
        throw new Violation(`${id} was ${before.outcome} and is written again: ${after.outcome}`);
      if (before.rollbackOf !== null) witness.mark("rolledBack");
    }
  },
});
