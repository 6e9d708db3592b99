/** Identities of ledgers. Each says when it was minted, so that everybody knows of two which is the newer one. */

const pattern = /^m(\d{13})-/;

/**
 * The identity of a new ledger.
 *
 * @param mintedAtMs epoch milliseconds
 * @param random makes it unique
 *
 * @example mintLedgerId(1_893_456_000_000, "9fKd3pLm") // "m1893456000000-9fKd3pLm"
 */
export function mintLedgerId(mintedAtMs: number, random: string): string {
  return `m${String(Math.max(0, Math.floor(mintedAtMs))).padStart(13, "0")}-${random}`;
}

/** When it was minted, epoch milliseconds; `undefined` for an identity that does not say. */
export function mintedAtMsOf(ledgerId: string): number | undefined {
  const [, digits] = pattern.exec(ledgerId) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** Whether `one` was minted after `other`; `undefined` if that cannot be told by the identities alone. */
export function isNewerLedger(one: string, other: string): boolean | undefined {
  if (one === other) return false;
  const [mine, theirs] = [mintedAtMsOf(one), mintedAtMsOf(other)];
  if (mine === undefined || theirs === undefined) return undefined;
  // Two of the same millisecond have an order too, the same one everywhere.
  return mine === theirs ? one > other : mine > theirs;
}
