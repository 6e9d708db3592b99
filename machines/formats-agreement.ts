import type { FormatRanges, WrittenFormats } from "../src/contracts/record-formats.js";

/*
 * In which formats the records of a fleet are written while coordinators of several versions are about. Nobody is to find
 * what it cannot read: a newer format is written once every coordinator that answers has read it for a while, and from
 * then on for good.
 */

/** For so long nobody may have answered who reads less: a coordinator that is restarted is not gone. */
export const settleMs = 300_000;

/** What is written where nobody has agreed on more: every kind's first format. */
const firstFormat = 1;

/** A kind of record that a coordinator cannot read as it is written. */
export interface UnreadableKind {
  readonly kind: string;
  readonly found: number;
  /** The nearest format that it reads. */
  readonly known: number;
}

/** What keeps a coordinator from leading: something is written as it cannot read it. Kinds that it does not know do not concern it. */
export function unreadableOf(ranges: FormatRanges, written: WrittenFormats): UnreadableKind | undefined {
  for (const [kind, [oldest, newest]] of Object.entries(ranges)) {
    const found = written[kind] ?? firstFormat;
    if (found > newest) return { kind, found, known: newest };
    if (found < oldest) return { kind, found, known: oldest };
  }
  return undefined;
}

/** What could be written as far as all of these coordinators read it, and never less than is written already. */
export function writableFor(
  ours: FormatRanges,
  others: readonly FormatRanges[],
  written: WrittenFormats,
): WrittenFormats {
  const kinds = Object.keys({ ...written, ...ours });
  return Object.fromEntries(
    kinds.map((kind) => {
      const newest = [ours, ...others].map((ranges) => ranges[kind]?.[1] ?? firstFormat);
      return [kind, Math.max(written[kind] ?? firstFormat, Math.min(...newest))];
    }),
  );
}

/** What has been writable, and since when. */
export interface FormatsOutlook {
  readonly writable: WrittenFormats;
  readonly sinceMs: number;
}

/** How an outlook goes on with what is writable now. */
export function outlookAt(
  before: FormatsOutlook | undefined,
  writable: WrittenFormats,
  nowMs: number,
): FormatsOutlook {
  return before !== undefined && isSame(before.writable, writable) ? before : { writable, sinceMs: nowMs };
}

/** What to write from now on, if that is more than is written and has been possible for long enough. */
export function raiseOf(
  outlook: FormatsOutlook,
  written: WrittenFormats,
  nowMs: number,
): WrittenFormats | undefined {
  const { writable, sinceMs } = outlook;
  return nowMs - sinceMs >= settleMs && !isSame(writable, written) ? writable : undefined;
}

function isSame(one: WrittenFormats, other: WrittenFormats): boolean {
  const kinds = Object.keys({ ...one, ...other });
  return kinds.every((kind) => (one[kind] ?? firstFormat) === (other[kind] ?? firstFormat));
}
