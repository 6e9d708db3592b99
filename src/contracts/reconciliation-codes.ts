import type { Meaning } from "./error-meaning.js";

/** The codes of reconciliations, a part of `errorCodes`. */
export const reconciliationCodes = {
  RECONCILIATION_UNDER_WAY: {
    retry: "later",
    status: 409,
    sentence: "A reconciliation asked for by {by} is under way: wait for its end and ask again.",
  },
  RECONCILIATION_INTERRUPTED: {
    retry: "later",
    status: 409,
    sentence:
      "The leadership was lost in the middle of the reconciliation, and nothing more of it is done{after}. Whoever leads now can do the rest: run rollcall reconcile again.",
  },
  RECONCILIATION_FAILED: {
    retry: "later",
    status: 503,
    sentence: "The reconciliation could not begin: {problem}. Nothing was changed; try again.",
  },
} as const satisfies Record<string, Meaning>;
