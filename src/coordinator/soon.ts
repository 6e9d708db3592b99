import type { Clock } from "../base/ports.js";

/** What a promise comes to, or `undefined` if it does not within the time. What it throws comes out. */
export function soon<T>(clock: Clock, promise: Promise<T>, withinMs: number): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(withinMs, () => resolve(undefined));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
