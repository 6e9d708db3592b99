import { refusal } from "../../contracts/errors.js";

/** @throws RollcallError `CANCELLED` once the signal has fired */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw refusal("CANCELLED");
}

/** Settles as `work` does, but rejects with `CANCELLED` as soon as the signal fires; `work` itself goes on. */
export async function orCancelled<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let cancel: (() => void) | undefined;
  const cancelled = new Promise<never>((_, reject) => {
    cancel = () => reject(refusal("CANCELLED"));
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
  });
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    if (cancel !== undefined) signal.removeEventListener("abort", cancel);
  }
}

/** The chunks, until the signal fires: also when the source never yields again. @throws RollcallError `CANCELLED` */
export async function* untilCancelled<T>(
  chunks: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  const iterator = chunks[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const next = await orCancelled(iterator.next(), signal);
      if (next.done === true) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not awaited: a source that waits for its next chunk ends only after that one. Nobody is left to hear its error.
    if (!ended) iterator.return?.().catch(() => undefined);
  }
}
