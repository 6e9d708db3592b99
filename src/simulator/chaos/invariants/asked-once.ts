import { errorCodes } from "../../../contracts/error-codes.js";
import { isErrorCode } from "../../../contracts/errors.js";
import { type MakeInvariant, Violation } from "../invariant.js";
import type { Asked } from "../people.js";

/** Refusals that a later try may not meet again; this one was refused all the same. */
const refusals: ReadonlySet<string> = new Set([
  "NOT_FINISHED",
  "NO_MATCHING_INSTANCES",
  "ROLLOUT_IN_PROGRESS",
]);
const creations: ReadonlySet<string> = new Set(["deployments.create", "deployments.retry"]);

/** S10, of what is asked. */
export const askedOnce: MakeInvariant = ({ asked }) => {
  /** The deployment that came of a request, by its key. */
  const made = new Map<string, string>();

  const check = ({ endpoint, request, answer }: Asked): void => {
    const { requestKey } = request as { readonly requestKey?: string };
    if (!creations.has(endpoint) || requestKey === undefined || answer === undefined) return;
    const id = made.get(requestKey);
    if ("reply" in answer) {
      const { id: told } = answer.reply as { readonly id: string };
      if (told !== id)
        throw new Violation(`${requestKey} was answered by ${told}, and has made ${id ?? "nothing"}`);
    } else if (id !== undefined && isRefusal(answer.code))
      throw new Violation(`${requestKey} was refused, ${answer.code}, and has made ${id}`);
  };

  return {
    id: "S10",
    says: "a request makes one deployment, which its answer names, or none, if it is refused",
    committed({ changes }) {
      for (const change of changes) {
        if (change.kind !== "deployment" || change.before !== undefined) continue;
        const { id, after } = change;
        const key = after?.requestKey ?? null;
        if (key === null) continue;
        const other = made.get(key);
        if (other !== undefined) throw new Violation(`the request ${key} has made ${other} and ${id}`);
        made.set(key, id);
      }
    },
    atRest() {
      asked.forEach(check);
    },
  };
};

/** Whoever is answered so knows that nothing came of it; of other failures nobody knows. */
function isRefusal(code: string): boolean {
  return refusals.has(code) || (isErrorCode(code) && errorCodes[code].retry === "never");
}
