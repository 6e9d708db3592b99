const natural = new Intl.Collator("en", { numeric: true });

/** The order of names for people: `web-2` before `web-10`; names that differ only in leading zeros have one too. */
export function byName(one: string, other: string): number {
  return natural.compare(one, other) || (one < other ? -1 : one > other ? 1 : 0);
}
