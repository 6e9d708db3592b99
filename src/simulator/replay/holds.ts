import type { RecordedCase } from "./case-book.js";
import { dataOf, heldSchema } from "./event-data.js";
import { isInFlight, type Life } from "./lives.js";
import type { Silences } from "./silences.js";

/** From the last report of those that fall silent together to the hold. */
const noticedAfterMs = 7_600;
/** From the first report of those that are back to the end of the hold. */
const calmForMs = 7_500;

/** Instances of the fleet that the deployment does not take, as its holds say: they count where silence is counted. */
export function bystandersIn(
  { created, events }: RecordedCase,
  lives: ReadonlyMap<string, Life>,
): readonly string[] {
  // Whoever is in a fleet of which all are taken has been taken.
  if (created.selector === null) return [];
  let count = 0;
  for (const event of events) {
    if (event.type !== "deployment.held") continue;
    const { others = 0 } = dataOf(heldSchema, event);
    const here = [...lives.values()].filter((life) => !isInFlight(life, event.atMs)).length;
    count = Math.max(count, others - here);
  }
  return Array.from({ length: count }, (_, nth) => `bystander-${nth + 1}`);
}

/**
 * Has as many instances fall silent as each hold says, and come back when it ends. Which ones they were the log does not say: those that
 * lost their turn by it, then others of whom it says nothing meanwhile.
 */
export function addHolds(
  recorded: RecordedCase,
  lives: ReadonlyMap<string, Life>,
  silences: Silences,
  bystanders: readonly string[],
): void {
  for (const [index, event] of recorded.events.entries()) {
    if (event.type !== "deployment.held") continue;
    const { newlySilent } = dataOf(heldSchema, event);
    const fromMs = event.atMs - noticedAfterMs;
    const endAtMs = endOf(recorded, index);
    const untilMs = Math.max(event.atMs + 1, endAtMs - calmForMs);
    const quiet = [...lives.values()].filter(
      (life) =>
        !isInFlight(life, event.atMs) &&
        life.joinsAtMs.length + life.leavesAtMs.length === 0 &&
        !life.activeAtMs.some((atMs) => atMs > fromMs && atMs < untilMs),
    );
    const lostTurn = quiet.filter(({ id }) => (silences.get(id)?.shownAtMs ?? 0) > event.atMs);
    const others = quiet.filter(({ id }) => !silences.has(id)).toSorted(byNextTelling(event.atMs));
    const candidates = [...lostTurn.map(({ id }) => id), ...bystanders, ...others.map(({ id }) => id)];
    for (const instance of candidates.slice(0, newlySilent ?? candidates.length))
      silences.set(instance, { fromMs, untilMs, shownAtMs: event.atMs });
  }
}

/** First those that are told nothing any more: who comes back waits behind the others. */
function byNextTelling(afterMs: number): (one: Life, other: Life) => number {
  const next = ({ tellings }: Life) => tellings.find(({ atMs }) => atMs > afterMs)?.atMs ?? Infinity;
  return (one, other) => (next(one) === next(other) ? 0 : next(other) - next(one));
}

/** When the silence was over, as the log says; never, if it does not. */
function endOf({ events }: RecordedCase, heldAt: number): number {
  const { id } = events[heldAt] ?? {};
  const end = events
    .slice(heldAt + 1)
    .find(
      ({ type, id: of }) => of === id && (type === "deployment.released" || type === "deployment.unforced"),
    );
  if (end === undefined) return Number.POSITIVE_INFINITY;
  return end.type === "deployment.released" ? end.atMs : end.atMs + calmForMs;
}
