import type { RecordedCase } from "./case-book.js";
import { claimedSchema, dataOf, endingSchema, stepSchema } from "./event-data.js";
import type { Life } from "./lives.js";
import { type RecordedEvent, stepOf } from "./recorded-event.js";

/** From when to when an instance does not report. */
export interface Silence {
  readonly fromMs: number;
  readonly untilMs: number;
  /** When it was first treated as silent. */
  readonly shownAtMs: number;
}

/** Silent instances by their name; each silent once or not at all, for that is all that a log shows. */
export type Silences = Map<string, Silence>;

/** So long before it is treated as silent an instance stops to report: the watch over silence takes this long. */
const noticedAfterMs = 9_000;
/** Before it is told something it reports again. */
const backBeforeMs = 10;

/**
 * Who was silent, as far as it made a difference. That an instance is silent is no event, but what follows from it is: others were told
 * before it though its turn had come, or the deployment ended without it.
 */
export function silencesOf(recorded: RecordedCase, lives: ReadonlyMap<string, Life>): Silences {
  const silences: Silences = new Map();
  for (const { instance, atMs } of passedOver(recorded)) {
    const life = lives.get(instance);
    if (life === undefined || silences.has(instance)) continue;
    const back = life.tellings.find((telling) => telling.atMs > atMs);
    const untilMs = back === undefined ? Number.POSITIVE_INFINITY : back.atMs - backBeforeMs;
    silences.set(instance, { fromMs: quietFrom(life, atMs), untilMs, shownAtMs: atMs });
  }
  for (const life of lives.values()) {
    const silence = leftOut(life) ?? unansweredOf(life, recorded);
    if (silence !== undefined && !silences.has(life.id)) silences.set(life.id, silence);
  }
  return silences;
}

/** The latest moment from which on it may have been silent, and is noticed to be by the time at which it was treated so. */
function quietFrom({ activeAtMs }: Life, treatedAtMs: number): number {
  const before = activeAtMs.filter((atMs) => atMs < treatedAtMs);
  return before.length === 0
    ? Number.NEGATIVE_INFINITY
    : Math.max(Math.max(...before) + 1, treatedAtMs - noticedAfterMs);
}

/** The deployment is done, and it was told nothing though it needed something. */
function leftOut(life: Life): Silence | undefined {
  const isUntouched = life.tellings.length === 0 && life.leavesAtMs.length === 0;
  if (!life.isLeftOwed || !isUntouched || life.claims[0]?.state !== "waiting") return undefined;
  return throughout(Number.NEGATIVE_INFINITY);
}

function throughout(fromMs: number): Silence {
  return { fromMs, untilMs: Number.POSITIVE_INFINITY, shownAtMs: fromMs };
}

/** A rollback told it at once, or ended without an answer of it. */
function unansweredOf(life: Life, recorded: RecordedCase): Silence | undefined {
  const { rollback } = recorded;
  const telling = life.tellings.find(({ by }) => by === rollback);
  const claim = life.claims.find(({ deployment }) => deployment === rollback);
  if (rollback === null || telling === undefined || claim === undefined || life.leavesAtMs.length > 0)
    return undefined;
  const before = life.tellings.findLast(({ by }) => by !== rollback);
  const wasWell = before?.results.at(-1)?.failure === null;
  const answeredAtMs = telling.results[0]?.atMs ?? Number.POSITIVE_INFINITY;
  if (claim.urgent === true && wasWell)
    return {
      fromMs: quietFrom(life, claim.atMs),
      untilMs: answeredAtMs - backBeforeMs,
      shownAtMs: claim.atMs,
    };
  // One that failed may have waited for it.
  if (telling.results.length > 0 || !hasGoneBack(recorded)) return undefined;
  return throughout(telling.atMs + 1);
}

function hasGoneBack({ rollback, events }: RecordedCase): boolean {
  const end = events.find(({ type, id }) => type === "deployment.finished" && id === rollback);
  return end !== undefined && dataOf(endingSchema, end).outcome === "rolled_back";
}

interface PassedOver {
  readonly instance: string;
  readonly atMs: number;
}

/** Instances whose turn had come when others were told, as far as they can have been silent. */
function passedOver({ events }: RecordedCase): PassedOver[] {
  const passed: PassedOver[] = [];
  const seen = new Set<string>();
  /** Of each deployment, who waits, in the order of their turns. */
  const queues = new Map<string, Set<string>>();
  const steps = new Map<string, RecordedEvent>();
  let wasHeld = false;
  const tellings = toldTogether(events);
  for (const event of events) {
    if (event.type === "deployment.held") wasHeld = true;
    if (event.type === "deployment.told") {
      steps.set(`${event.epoch}/deployment:${event.id}/${dataOf(stepSchema, event).step}`, event);
      continue;
    }
    follow(event, queues);
    const told = tellings.get(event);
    const queue = queues.get(stepOf(event) ?? "");
    if (told === undefined || queue === undefined) continue;
    const over = passedIn(queue, told);
    for (const instance of told) queue.delete(instance);
    const step = steps.get(`${event.epoch}/${event.cause}`);
    const silent = step === undefined ? undefined : dataOf(stepSchema, step).unreachable;
    const unexplained = over.filter((instance) => !seen.has(instance));
    // A hold says that many were silent and have come back since; who comes back waits behind the others.
    if (silent !== undefined && unexplained.length > silent && !wasHeld) continue;
    for (const instance of unexplained) {
      seen.add(instance);
      passed.push({ instance, atMs: event.atMs });
    }
  }
  return passed;
}

/** By the first event of each step, all that were told in it. */
function toldTogether(events: readonly RecordedEvent[]): ReadonlyMap<RecordedEvent, ReadonlySet<string>> {
  const bySteps = new Map<string, Set<string>>();
  const together = new Map<RecordedEvent, Set<string>>();
  for (const event of events) {
    if (event.type !== "instance.told") continue;
    const step = `${event.epoch}/${event.cause}`;
    const told = bySteps.get(step) ?? new Set();
    if (told.size === 0) together.set(event, told);
    bySteps.set(step, told.add(event.id));
  }
  return together;
}

function follow(event: RecordedEvent, queues: Map<string, Set<string>>): void {
  const leave = () => {
    for (const queue of queues.values()) queue.delete(event.id);
  };
  if (event.type === "instance.claimed") {
    leave();
    const { deployment, state, urgent } = dataOf(claimedSchema, event);
    if (state !== "waiting" || urgent === true) return;
    const queue = queues.get(deployment) ?? new Set();
    queues.set(deployment, queue.add(event.id));
  } else if (event.type === "instance.left" || event.type === "instance.released") leave();
}

/** Those in front of the last one that was told. */
function passedIn(queue: ReadonlySet<string>, told: ReadonlySet<string>): string[] {
  const waiting = [...queue];
  const last = waiting.findLastIndex((instance) => told.has(instance));
  return waiting.slice(0, Math.max(0, last)).filter((instance) => !told.has(instance));
}
