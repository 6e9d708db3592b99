import { setTimeout as pause } from "node:timers/promises";

const holdsWithinMs = 60_000;

/** Asks again and again; what throws does not hold yet. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const latestAtMs = performance.now() + holdsWithinMs;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > latestAtMs) throw new Error(`a minute was not enough until ${what}`);
    await pause(50);
  }
}
