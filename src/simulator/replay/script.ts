import type { Put } from "../history.js";
import { type Act, actsOf, creationOf } from "./acts.js";
import type { RecordedCase, Takeover } from "./case-book.js";
import { ComparedTime, type Window } from "./compared-time.js";
import { specOf } from "./earlier.js";
import { dataOf, endingSchema, stuckSchema } from "./event-data.js";
import { addHolds, bystandersIn } from "./holds.js";
import { inputTimes } from "./inputs.js";
import { type Life, livesOf, newLife } from "./lives.js";
import { labelsFor, ranBefore, recordsFor } from "./records.js";
import type { Direction, Part } from "./scripted-instance.js";
import { type Silences, silencesOf } from "./silences.js";
import { windowsOf } from "./windows.js";

/** All that a replay of one deployment goes by. */
export interface Script {
  /** The rollback that followed, by its name in the log. */
  readonly rollback: string | null;
  readonly startMs: number;
  readonly records: readonly Put[];
  readonly parts: readonly Part[];
  readonly direction: Direction;
  readonly creation: Act;
  /** What people asked for, and changes of the leader, in their order. */
  readonly acts: readonly Act[];
  readonly takeovers: readonly Takeover[];
  readonly time: ComparedTime;
  /** When it was over, or the log ends. */
  readonly endMs: number;
  readonly isOver: boolean;
  /** What the log does not say and was taken to be so, in sentences. */
  readonly assumed: readonly string[];
}

/** In which a coordinator leads, hears everybody and knows who is silent. */
const warmUpMs = 60_000;
/** What ran before it began, began so long ago. */
const historyMs = 3_600_000;
const typicalDefaultMs = 10_000;
const namedMax = 5;
const moveEveryMaxMs = 60_000;
const moveEveryMinMs = 1_000;

/** @param logEndMs of the last event of the log */
export function scriptOf(recorded: RecordedCase, logEndMs: number): Script {
  const { events, takeovers, createdAtMs, endedAtMs } = recorded;
  const times = inputTimes(events);
  const lives = livesOf(events, times);
  const silences = silencesOf(recorded, lives);
  const bystanders = bystandersIn(recorded, lives);
  addHolds(recorded, lives, silences, bystanders);
  const startMs = createdAtMs - warmUpMs;
  const { minHealthyMs, progressDeadlineMs } = specOf(recorded);
  const stills = stillsOf(recorded);
  const moveEveryMs = Math.max(moveEveryMinMs, Math.min(moveEveryMaxMs, progressDeadlineMs / 4));
  const inputsMs = [createdAtMs, ...times.values(), ...takeovers.map(({ atMs }) => atMs)];
  const time = new ComparedTime(windowsOf(recorded), inputsMs);
  return {
    rollback: recorded.rollback,
    startMs,
    records: recordsFor(recorded, lives, { atMs: startMs - historyMs, bystanders }),
    parts: [
      ...[...lives.values()].map((life) => partOf(recorded, life, silences)),
      ...bystanders.map((id) => partOf(recorded, newLife(id, true), silences, false)),
    ],
    direction: {
      minHealthyMs,
      typicalMs: typicalOf(lives.values()),
      time,
      nextMoveMs: (nowMs) => nextMoveMs(nowMs, moveEveryMs, stills),
    },
    creation: creationOf(recorded),
    acts: actsOf(recorded, times),
    takeovers,
    time,
    endMs: endedAtMs ?? logEndMs,
    isOver: endedAtMs !== null,
    assumed: assumptionsOf(recorded, silences, bystanders.length),
  };
}

function partOf(recorded: RecordedCase, life: Life, silences: Silences, isTaken = true): Part {
  const [claim] = life.claims;
  const told = life.tellings[0]?.generation;
  return {
    labels: labelsFor(recorded.created.selector, isTaken),
    runs: ranBefore(recorded, life),
    generation: told === undefined ? (claim?.generation ?? 0) : Math.max(0, told - 1),
    silence: silences.get(life.id),
    life,
  };
}

/** The middle one of the durations of updates that succeeded. */
function typicalOf(lives: Iterable<Life>): number {
  const durations: number[] = [];
  for (const { tellings } of lives)
    for (const { atMs, results } of tellings) {
      const [first] = results;
      if (first?.failure === null) durations.push(first.atMs - atMs);
    }
  const sorted = durations.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? typicalDefaultMs;
}

/** When no instance moved, as the log says: before it was found to be stuck, and until one moved again. */
function stillsOf(recorded: RecordedCase): readonly Window[] {
  const { events } = recorded;
  const { progressDeadlineMs } = specOf(recorded);
  const stills: Window[] = [];
  for (const [index, event] of events.entries()) {
    const isStuck = event.type === "deployment.stuck";
    if (!isStuck && !isEndedByStandstill(event)) continue;
    const { stillForMs = progressDeadlineMs } = isStuck ? dataOf(stuckSchema, event) : {};
    const end = events
      .slice(index + 1)
      .find(({ type, id }) => id === event.id && type === "deployment.moving");
    stills.push({ fromMs: event.atMs - stillForMs + 1, toMs: end?.atMs ?? Number.POSITIVE_INFINITY });
  }
  return stills;
}

function nextMoveMs(nowMs: number, everyMs: number, stills: readonly Window[]): number {
  const nextMs = nowMs + everyMs;
  const still = stills.find(({ fromMs, toMs }) => nextMs >= fromMs && nowMs < toMs);
  return still?.toMs ?? nextMs;
}

function isEndedByStandstill(event: RecordedCase["events"][number]): boolean {
  if (event.type !== "deployment.finished") return false;
  const { reason } = dataOf(endingSchema, event);
  return typeof reason === "object" && reason?.code === "PROGRESS_DEADLINE";
}

function assumptionsOf(
  { id, created, hasGaps, events }: RecordedCase,
  silences: Silences,
  bystanders: number,
): readonly string[] {
  const assumed: string[] = [];
  if (created.deadlineMs === undefined)
    assumed.push(
      `The log of ${id} is of an older version and does not say its deadlines: 15 minutes for an instance, 20 without any moving, and that it goes back by itself were assumed.`,
    );
  if (hasGaps)
    assumed.push(`Events between those of ${id} are not in the file; what they say was not played.`);
  const silent = [...silences.keys()].filter((instance) => events.some((event) => event.id === instance));
  if (silent.length > 0)
    assumed.push(
      `Silence is no event; by what followed these were taken to be silent: ${silent.slice(0, namedMax).join(", ")}${silent.length > namedMax ? ` and ${silent.length - namedMax} more` : ""}.`,
    );
  if (bystanders > 0)
    assumed.push(
      `By the silence that ${id} was held for, ${bystanders} instances more than it took are in the fleet.`,
    );
  if (events.some(({ type }) => type === "deployment.stuck"))
    assumed.push(`Instances of ${id} in flight were taken to move until it was stuck.`);
  return assumed;
}
