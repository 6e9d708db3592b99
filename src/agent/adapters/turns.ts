import { orCancelled, throwIfCancelled } from "./cancelling.js";

/** Lets work of the same key run one after another, in the order it came, and work of different keys together. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** @throws RollcallError `CANCELLED` if the signal fires while it waits; later only if `work` says so */
  async run<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    // The turn of one who gave up while waiting still ends only after those before it.
    const turn = before.then(() => finished);
    this.#last.set(key, turn);
    try {
      await orCancelled(before, signal);
      throwIfCancelled(signal);
      return await work();
    } finally {
      finish();
      turn.then(() => {
        if (this.#last.get(key) === turn) this.#last.delete(key);
      });
    }
  }
}
