/**
 * Stops the program where something that must be true is not. Stays on in production: a wrong
 * decision about a fleet is worse than a restart.
 *
 * @throws Error `assertion failed: <why>`
 */
export function assert(condition: unknown, why: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${why}`);
}
