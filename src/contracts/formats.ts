import type { z } from "zod";
import { assert } from "../base/assert.js";
import { refusal } from "./errors.js";

/** One way in which a kind of record stands in a store or in a message, and how it is taken to what the program works with. */
export interface StoredFormat<T> {
  /** Checks what was found and upgrades it. */
  parse(found: unknown): z.ZodSafeParseResult<T>;
  /** The record as a program writes it that knows no newer format. */
  write(record: T): unknown;
}

/** What came of reading a record. */
export type ReadRecord<T> =
  | { readonly record: T }
  /** It is of a format that this program does not know. */
  | { readonly newer: number }
  | { readonly problem: string };

/** The formats of a kind of record that a program reads: the oldest, the newest. */
export type FormatRange = readonly [oldest: number, newest: number];

/**
 * A format whose records are what the schema takes.
 *
 * - `upgrade` makes of them what the program works with, `downgrade` the reverse; both are pure and lose nothing that the program
 *   needs: what a newer format adds must be had from an older one too.
 * - Left out, the records are what the program works with: so is every kind's newest format.
 */
export function storedAs<T>(schema: z.ZodType<T>): StoredFormat<T>;
export function storedAs<T, S>(
  schema: z.ZodType<S>,
  ways: { upgrade: (stored: S) => T; downgrade: (record: T) => S },
): StoredFormat<T>;
export function storedAs<T, S>(
  schema: z.ZodType<S>,
  ways?: { upgrade: (stored: S) => T; downgrade: (record: T) => S },
): StoredFormat<unknown> {
  if (ways === undefined) return { parse: (found) => schema.safeParse(found), write: (record) => record };
  const upgraded = schema.transform(ways.upgrade);
  return { parse: (found) => upgraded.safeParse(found), write: (record) => ways.downgrade(record as T) };
}

/** The formats of one kind of record, one after the other. A newer one than these is refused, never guessed at. */
export class RecordFormats<T> {
  readonly oldest: number;
  readonly #formats: readonly [StoredFormat<T>, ...StoredFormat<T>[]];

  constructor(formats: readonly [StoredFormat<T>, ...StoredFormat<T>[]], oldest = 1) {
    this.#formats = formats;
    this.oldest = oldest;
  }

  get newest(): number {
    return this.oldest + this.#formats.length - 1;
  }

  get range(): FormatRange {
    return [this.oldest, this.newest];
  }

  read(found: unknown): ReadRecord<T> {
    const format = formatOf(found) ?? this.newest;
    if (format > this.newest) return { newer: format };
    const stored = this.#formats[format - this.oldest];
    if (stored === undefined) return { problem: `its format ${format} is none that this Rollcall reads` };
    const parsed = stored.parse(found);
    return parsed.success
      ? { record: parsed.data }
      : { problem: parsed.error.issues[0]?.message ?? "it does not parse" };
  }

  /**
   * The record under a key of a store.
   * @throws RollcallError `LEDGER_NEWER`, `LEDGER_CORRUPT`
   */
  readAt(place: { readonly fleet: string; readonly key: string }, found: unknown): T {
    const read = this.read(found);
    if ("record" in read) return read.record;
    if ("newer" in read) throw refusal("LEDGER_NEWER", { ...place, found: read.newer, known: this.newest });
    throw refusal("LEDGER_CORRUPT", { ...place, problem: read.problem });
  }

  /** The record in a format, the newest if it is left out. */
  write(record: T, format: number = this.newest): unknown {
    const stored = this.#formats[format - this.oldest];
    assert(stored !== undefined, `format ${format} is known`);
    return stored.write(record);
  }
}

/** The format that a record says it has. */
export function formatOf(found: unknown): number | undefined {
  const format = typeof found === "object" && found !== null && "format" in found ? found.format : undefined;
  return Number.isSafeInteger(format) ? (format as number) : undefined;
}
