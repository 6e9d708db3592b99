import { errorReplySchema } from "../contracts/api.js";
import type { Term } from "./term.js";

const decoder = new TextDecoder();

/** Asks as the leader of this ledger. @throws Error what was refused; RollcallError `NO_RESPONDERS`, `REQUEST_TIMEOUT` */
export async function askAsLeader(
  { bus, leadership, ledgerId }: Pick<Term, "bus" | "leadership" | "ledgerId">,
  subject: string,
  what: object,
  timeoutMs: number,
): Promise<unknown> {
  const body = JSON.stringify({ epoch: leadership.epoch, ledgerId, ...what });
  const answer = await bus.request(subject, body, { timeoutMs });
  const content: unknown = JSON.parse(decoder.decode(answer.data));
  const refused = errorReplySchema.safeParse(content);
  if (refused.success) throw new Error(`${refused.data.error.code}: ${refused.data.error.message}`);
  return content;
}
