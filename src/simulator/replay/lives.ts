import type { z } from "zod";
import type { Reason } from "../../contracts/instance.js";
import type { VersionPair } from "../../contracts/version.js";
import { claimedSchema, dataOf, failedSchema, instanceToldSchema, releasedSchema } from "./event-data.js";
import { isJoining, isReported } from "./inputs.js";
import { type RecordedEvent, stepOf } from "./recorded-event.js";

/** What an instance came to after it was told something. */
export interface Result {
  readonly atMs: number;
  /** Why it failed; `null`: it succeeded. */
  readonly failure: Reason | null;
}

/** One thing that an instance was told. */
export interface Telling {
  readonly by: string;
  readonly generation: number;
  readonly atMs: number;
  readonly target: VersionPair | null;
  readonly results: Result[];
}

export interface ClaimOfLife extends z.infer<typeof claimedSchema> {
  readonly atMs: number;
  readonly generation: number;
}

/** What the log says of one instance while a deployment had it. */
export interface Life {
  readonly id: string;
  readonly claims: ClaimOfLife[];
  readonly tellings: Telling[];
  /** It was there before the deployment began. */
  readonly isFromTheBeginning: boolean;
  /** When it joined the fleet, and when it left, one after the other. */
  readonly joinsAtMs: number[];
  readonly leavesAtMs: number[];
  /** The deployment let it go with its version still owed to it. */
  isLeftOwed: boolean;
  /** When it reported something that the log has, or was told something. */
  readonly activeAtMs: number[];
}

/** The instances of a deployment, in the order in which it took them. */
export function livesOf(
  events: readonly RecordedEvent[],
  times: ReadonlyMap<RecordedEvent, number>,
): ReadonlyMap<string, Life> {
  const lives = new Map<string, Life>();
  for (const event of events) {
    if (event.type === "instance.claimed" && !lives.has(event.id))
      lives.set(event.id, newLife(event.id, !isJoining(event)));
    const life = event.type.startsWith("instance.") ? lives.get(event.id) : undefined;
    if (life !== undefined) live(life, event, times.get(event) ?? event.atMs);
  }
  return lives;
}

/** One of which the log says nothing yet. */
export function newLife(id: string, isFromTheBeginning: boolean): Life {
  return {
    id,
    claims: [],
    tellings: [],
    isFromTheBeginning,
    joinsAtMs: [],
    leavesAtMs: [],
    isLeftOwed: false,
    activeAtMs: [],
  };
}

function live(life: Life, event: RecordedEvent, atMs: number): void {
  const { type, generation } = event;
  if (type === "instance.claimed")
    life.claims.push({ ...dataOf(claimedSchema, event), atMs: event.atMs, generation });
  if (isJoining(event)) life.joinsAtMs.push(atMs);
  else if (type === "instance.claimed") return;
  else if (type === "instance.left") life.leavesAtMs.push(atMs);
  else if (type === "instance.released")
    life.isLeftOwed = (dataOf(releasedSchema, event).owed ?? null) !== null;
  else life.activeAtMs.push(atMs);
  if (type === "instance.told") {
    const { target } = dataOf(instanceToldSchema, event);
    life.tellings.push({ by: stepOf(event) ?? "", generation, atMs: event.atMs, target, results: [] });
  }
  const last = life.tellings.at(-1);
  if (last === undefined) return;
  // Its new agent is told the same again.
  if (type === "instance.moved") life.tellings.push({ ...last, generation, atMs, results: [] });
  if (!isReported(event)) return;
  const failure = type === "instance.failed" ? dataOf(failedSchema, event).reason : null;
  const telling = life.tellings.findLast((one) => one.generation === generation) ?? last;
  telling.results.push({ atMs, failure });
}

/** It was under way: told something, and not there yet. */
export function isInFlight({ tellings }: Life, atMs: number): boolean {
  const last = tellings.findLast((telling) => telling.atMs <= atMs);
  return last !== undefined && !last.results.some((result) => result.atMs <= atMs);
}
