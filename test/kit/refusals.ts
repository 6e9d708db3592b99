import { RollcallError } from "../../src/base/errors.js";

/** What a promise was refused with: the code, and the facts behind the sentence. Fails if it was not refused. */
export async function refusalOf(promise: Promise<unknown>): Promise<{
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly message: string;
}> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (outcome === undefined) throw new Error("it was not refused");
  if (!(outcome.error instanceof RollcallError)) throw outcome.error;
  const { code, details, message } = outcome.error;
  return { code, details, message };
}
