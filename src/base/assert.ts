/**
 * Stops the program where something that must be true is not. Stays on in production: a wrong
 * decision about a fleet is worse than a restart.
 *
 * @param why as a function where it is asked often, and to put the sentence together costs more than to ask
 * @throws Error `assertion failed: <why>`
 */
export function assert(condition: unknown, why: string | (() => string)): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${typeof why === "string" ? why : why()}`);
}
