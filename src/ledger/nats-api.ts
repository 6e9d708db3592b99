import { RollcallError } from "../base/errors.js";
import type { Bus, BusMessage, Clock } from "../base/ports.js";
import { refusal } from "../contracts/errors.js";

const apiTimeoutMs = 5_000;
/** Of one answer with many messages. */
const batchBytesMax = 4 * 1_048_576;
const batchMessagesMax = 1_000;
/** JetStream's "no message found". */
const notFoundCode = 10037;
/** JetStream's "stream not found". */
const noStreamCode = 10059;
/** Tries to read what a follower of a cluster does not have yet. */
const staleTriesMax = 100;
const staleWaitMs = 50;

/** An answer of the JetStream API that says no. */
class ApiRefused extends Error {
  override readonly name = "ApiRefused";
  /** JetStream's error code, `10059`. */
  readonly code: number;

  constructor(code: number, description: string) {
    super(`${description} (${code})`);
    this.code = code;
  }
}

/** JetStream says that there is no such stream. */
export function isNoStream(thrown: unknown): boolean {
  return thrown instanceof ApiRefused && thrown.code === noStreamCode;
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

/** A message as the leader of a stream has it. */
export interface RawMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly time: string;
  /** As on the wire, lines of `name: value`. */
  readonly headers: string;
  readonly body: string;
}

/** One message from the leader of a stream, so never a stale one; `undefined` if there is none. */
export async function leaderGet(bus: Bus, stream: string, request: object): Promise<RawMessage | undefined> {
  try {
    const { message } = await askApi(bus, `STREAM.MSG.GET.${stream}`, request);
    if (!isObject(message)) throw new ApiRefused(0, "the answer holds no message");
    return {
      subject: String(message.subject),
      sequence: Number(message.seq),
      time: String(message.time),
      headers: Buffer.from(String(message.hdrs ?? ""), "base64").toString(),
      body: Buffer.from(String(message.data ?? ""), "base64").toString(),
    };
  } catch (thrown) {
    if (thrown instanceof ApiRefused && thrown.code === notFoundCode) return undefined;
    throw thrown;
  }
}

/**
 * All messages of a stream in its order, by direct get: no consumer, and fast. On a cluster followers answer, which may
 * lag behind, so it ends only where the leader has nothing more.
 */
export async function* streamMessages(
  bus: Bus,
  options: {
    readonly clock: Clock;
    readonly stream: string;
    readonly filter: string;
    /** From which sequence on; 1 if left out. */
    readonly from?: number;
  },
): AsyncGenerator<BusMessage> {
  const { clock, stream, filter, from = 1 } = options;
  let staleTries = 0;
  for (let seq = from; ; ) {
    const request = { seq, next_by_subj: filter };
    const { messages, atEnd } = await directGetMany(bus, stream, { ...request, batch: batchMessagesMax });
    yield* messages;
    seq = Number(messages.at(-1)?.header("Nats-Sequence") ?? seq - 1) + 1;
    if (!atEnd) continue;
    if ((await leaderGet(bus, stream, { seq, next_by_subj: filter })) === undefined) return;
    staleTries = messages.length > 0 ? 0 : staleTries + 1;
    if (staleTries > staleTriesMax) throw new ApiRefused(0, "a follower of the cluster lags behind");
    if (staleTries > 0) await new Promise<void>((resolve) => clock.setTimer(staleWaitMs, resolve));
  }
}

/**
 * Messages of a stream from a sequence on, by one direct get, which needs one permission only.
 *
 * @param request `seq` from which, `next_by_subj` the filter, `batch` how many
 * @returns the messages, and whether there were no more behind them where they came from
 */
export async function directGetMany(
  bus: Bus,
  stream: string,
  request: { readonly seq: number; readonly next_by_subj: string; readonly batch: number },
  timeoutMs: number = apiTimeoutMs,
): Promise<{ readonly messages: BusMessage[]; readonly atEnd: boolean }> {
  const answers = await bus.requestMany(
    `$JS.API.DIRECT.GET.${stream}`,
    JSON.stringify({ ...request, max_bytes: batchBytesMax }),
    {
      timeoutMs,
      max: request.batch + 1,
      isLast: (answer) => answer.header("Status") !== undefined,
    },
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
