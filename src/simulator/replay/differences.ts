import type { ComparedTime } from "./compared-time.js";
import type { Decision } from "./decisions.js";

/** What one side says of a decision. */
export interface Side {
  readonly atMs: number;
  readonly sentence: string;
}

/** One thing that today's machines decide differently. */
export interface Difference {
  readonly object: string;
  /** `other`: something else is decided; `time`: the same, at another time; `only`: on one side alone. */
  readonly kind: "other" | "time" | "only";
  /** `null`: it was not decided then. */
  readonly recorded: Side | null;
  readonly today: Side | null;
}

export interface Comparison {
  /** The earliest first: what comes later may follow from it. */
  readonly differences: readonly Difference[];
  /** Instances that were told something, or were not, by a hair's breadth: their turn came in the moment of the end. */
  readonly close: readonly string[];
}

/** Whatever ends that instances are told something. */
const stops = /^\S+ deployment\/\S+ deployment\.(paused|held|aborted|reverting|rollback|finished) \d+$/;

/** @param untilMs what is decided later is not compared: the log ends */
export function compare(
  recorded: readonly Decision[],
  today: readonly Decision[],
  time: ComparedTime,
  untilMs = Number.POSITIVE_INFINITY,
): Comparison {
  const before = new Map(recorded.map((decision) => [decision.key, decision]));
  const now = new Map(today.map((decision) => [decision.key, decision]));
  const found: (Difference & { readonly key: string })[] = [];
  for (const key of new Set([...before.keys(), ...now.keys()])) {
    const difference = differenceOf(before.get(key), now.get(key), time);
    if (difference !== undefined && timeOf(difference) <= untilMs) found.push({ ...difference, key });
  }
  const stopsMs = [...recorded, ...today].filter(({ key }) => stops.test(key)).map(({ atMs }) => atMs);
  const isClose = ({ key, kind, ...difference }: (typeof found)[number]) =>
    kind === "only" &&
    / instance\.told \d+$/.test(key) &&
    stopsMs.some((atMs) => time.isSame(atMs, timeOf({ kind, ...difference })) && time.inputsBefore(atMs) > 1);
  const close = new Set(found.filter(isClose).map(({ object }) => object));
  const differences = found
    .filter(({ object }) => !close.has(object))
    .toSorted((one, other) => timeOf(one) - timeOf(other))
    .map(({ key: _, ...difference }) => difference);
  return { differences, close: [...close] };
}

function differenceOf(
  recorded: Decision | undefined,
  today: Decision | undefined,
  time: ComparedTime,
): Difference | undefined {
  const object = recorded?.object ?? today?.object ?? "";
  const sides = { recorded: sideOf(recorded), today: sideOf(today) };
  if (recorded === undefined || today === undefined) return { object, kind: "only", ...sides };
  if (recorded.detail !== today.detail) return { object, kind: "other", ...sides };
  return time.isSame(recorded.atMs, today.atMs) ? undefined : { object, kind: "time", ...sides };
}

function sideOf(decision: Decision | undefined): Side | null {
  return decision === undefined ? null : { atMs: decision.atMs, sentence: decision.sentence };
}

/** When the difference begins. */
export function timeOf({ recorded, today }: Difference): number {
  return Math.min(recorded?.atMs ?? Number.POSITIVE_INFINITY, today?.atMs ?? Number.POSITIVE_INFINITY);
}
