import { RollcallError } from "../base/errors.js";
import { refusal } from "../contracts/errors.js";

/**
 * The answer of a leader. One that has lost its leadership while it was asked has dropped all that it knew: what it refuses
 * then says nothing of what was asked for, which may be written.
 *
 * @throws RollcallError `LEDGER_UNAVAILABLE` in place of such a refusal
 */
export async function believed<T>(fleet: string, answer: Promise<T>, leadsStill: () => boolean): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (leadsStill() || (error instanceof RollcallError && error.retry === "later")) throw error;
    throw refusal("LEDGER_UNAVAILABLE", { fleet, problem: "the leadership has ended meanwhile" }, error);
  }
}
