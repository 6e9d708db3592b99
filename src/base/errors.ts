/** Whether the same request may succeed when it is sent again unchanged. */
export type Retry = "never" | "later";

/**
 * A failure that somebody outside will read: a stable `code`, a sentence with the next step, and
 * whether to ask again. The codes and their sentences stand in one table, `contracts/errors.ts`.
 */
export class RollcallError extends Error {
  override readonly name = "RollcallError";
  readonly code: string;
  readonly retry: Retry;
  /** Facts behind the sentence, for programs: ids, limits, what was found. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    options: { retry?: Retry; cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retry = options.retry ?? "never";
    this.details = options.details ?? {};
  }
}

/** The sentence of anything that was thrown, with its causes as far as it does not name them itself, for a log line or a report. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.cause === undefined) return thrown.message;
  const cause = messageOf(thrown.cause);
  return thrown.message.includes(cause) ? thrown.message : `${thrown.message}: ${cause}`;
}
