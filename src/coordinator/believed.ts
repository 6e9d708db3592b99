import { RollcallError } from "../base/errors.js";
import { refusal } from "../contracts/errors.js";
import type { Leader } from "./leader.js";
import { soon } from "./soon.js";

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

/** How long a read waits for the ledger to have what it shows: mostly milliseconds. */
const writtenWithinMs = 1_000;

/**
 * Waits until the ledger has everything that a leader knows: nobody is shown what it may yet refuse, and of which another
 * leader, or a follower, would not know. While it takes nothing for so long, an answer is worth more.
 *
 * @throws RollcallError `NO_LEADER` the leader has lost track, or its lease
 */
export async function written({ term }: Leader): Promise<void> {
  try {
    await soon(term.clock, term.writer.flushed(), writtenWithinMs);
  } catch (error) {
    throw refusal("NO_LEADER", { fleet: term.fleet }, error);
  }
}
