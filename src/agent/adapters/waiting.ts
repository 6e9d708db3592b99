import type { Clock } from "../../base/ports.js";

/** Resolves `delayMs` from now. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}

/** Resolves with `work`, or with `undefined` after `timeoutMs`; `work` itself goes on. */
export async function within<T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
  let resolveLate: (value: undefined) => void = () => undefined;
  const late = new Promise<undefined>((resolve) => {
    resolveLate = resolve;
  });
  const timer = clock.setTimer(timeoutMs, () => resolveLate(undefined));
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.cancel();
  }
}
