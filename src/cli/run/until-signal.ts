/** Resolves with the first SIGINT, SIGTERM or SIGHUP (the terminal is gone); a second one ends the process at once. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    const handle = (signal: NodeJS.Signals) => {
      // Without a handler the next one has its ordinary effect.
      for (const each of signals) process.off(each, handle);
      resolve(signal);
    };
    for (const each of signals) process.on(each, handle);
  });
}
