import { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";

const apiTimeoutMs = 5_000;
/** Of one answer with many messages. */
const batchBytesMax = 4 * 1_048_576;
const batchMessagesMax = 1_000;

/** An answer of the JetStream API that says no. */
export class ApiRefused extends Error {
  override readonly name = "ApiRefused";
  /** JetStream's error code, `10059`. */
  readonly code: number;

  constructor(code: number, description: string) {
    super(`${description} (${code})`);
    this.code = code;
  }
}

/** Asks the JetStream API. @throws RollcallError of the bus; ApiRefused */
export async function askApi(
  bus: Bus,
  subject: string,
  request: object,
): Promise<Readonly<Record<string, unknown>>> {
  const answer = await bus.request(`$JS.API.${subject}`, JSON.stringify(request), {
    timeoutMs: apiTimeoutMs,
  });
  const parsed: unknown = JSON.parse(new TextDecoder().decode(answer.data));
  if (!isObject(parsed)) throw new ApiRefused(0, "the answer is no object");
  if (isObject(parsed.error))
    throw new ApiRefused(Number(parsed.error.err_code), String(parsed.error.description));
  return parsed;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/**
 * Messages of a stream from a sequence on, in its order, by direct get: no consumer, and one permission. On a cluster
 * they may come from a follower and be stale.
 *
 * @param request `seq` from which, `next_by_subj` the filter
 * @returns the messages, and whether there were no more behind them
 */
export async function directGetMany(
  bus: Bus,
  stream: string,
  request: { readonly seq: number; readonly next_by_subj: string; readonly batch?: number },
): Promise<{ readonly messages: BusMessage[]; readonly atEnd: boolean }> {
  const batch = Math.min(request.batch ?? batchMessagesMax, batchMessagesMax);
  const answers = await bus.requestMany(
    `$JS.API.DIRECT.GET.${stream}`,
    JSON.stringify({ ...request, batch, max_bytes: batchBytesMax }),
    { timeoutMs: apiTimeoutMs, max: batch + 1, isLast: (answer) => answer.header("Status") !== undefined },
  );
  const end = answers.at(-1);
  const status = end?.header("Status");
  if (end === undefined || status === undefined) throw new ApiRefused(0, "the answer did not arrive whole");
  if (status === "404") return { messages: [], atEnd: true };
  if (status !== "204") throw new ApiRefused(Number(status), "the messages could not be read");
  return { messages: answers.slice(0, -1), atEnd: end.header("Nats-Num-Pending") === "0" };
}

/** Turns what a call of the API throws into the one error of a ledger that cannot be reached. */
export async function orUnavailable<T>(fleet: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof RollcallError && keptCodes.has(thrown.code)) throw thrown;
    const problem = thrown instanceof Error ? thrown.message : String(thrown);
    throw refusal("LEDGER_UNAVAILABLE", { fleet, problem }, thrown);
  }
}

/** What says more than that the ledger cannot be reached. */
const keptCodes: ReadonlySet<string> = new Set([
  "LEDGER_UNAVAILABLE",
  "LEDGER_FULL",
  "LEDGER_CORRUPT",
  "NOT_ALLOWED",
]);
