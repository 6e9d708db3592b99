import type { SeededRandom } from "../runtime/random.js";
import { drawMs } from "./distribution.js";
import { type FailureKind, failureKinds, type RehearsalPlan } from "./plan.js";

/** What becomes of one update of one instance, drawn before it begins. */
export interface Fate {
  /** From the command to the first healthy check, if it gets there. */
  readonly updateMs: number;
  readonly failure: FailureKind | null;
  /** From the command to the end of the build, of one whose build fails. */
  readonly buildMs: number;
  /** From the first healthy check to the failure, of one that flaps. */
  readonly flapsAfterMs: number;
  /** From the command to its last sign of life; `null`: it goes on reporting. */
  readonly silentAfterMs: number | null;
}

/**
 * Draws what becomes of an instance's update. Streams are by instance and by the update's place among those of the instance, so
 * that another strategy meets the same fates.
 */
export function fateOf(
  { behaviour }: RehearsalPlan,
  random: SeededRandom,
  update: { readonly instance: string; readonly nth: number; readonly isNew: boolean },
): Fate {
  const label = `${update.instance}/${update.nth}`;
  const updateMs = drawMs(behaviour.updateTime, random.fork(`${label}/time`).unit);
  if (!update.isNew || (behaviour.failureRate === 0 && behaviour.silenceRate === 0))
    return { updateMs, failure: null, buildMs: updateMs, flapsAfterMs: 0, silentAfterMs: null };
  const { unit } = random.fork(`${label}/fate`);
  // All are drawn, needed or not: a rate that changes does not move the other draws.
  const draws = { fails: unit(), kind: unit(), build: unit(), silent: unit(), silentAt: unit() };
  return {
    updateMs,
    failure: draws.fails < behaviour.failureRate ? kindAt(behaviour.failures, draws.kind) : null,
    buildMs: Math.round(updateMs * draws.build),
    flapsAfterMs: drawMs(behaviour.flapsAfter, unit),
    silentAfterMs: draws.silent < behaviour.silenceRate ? Math.round(updateMs * draws.silentAt) : null,
  };
}

function kindAt(weights: Readonly<Record<FailureKind, number>>, unit: number): FailureKind {
  let left = unit * failureKinds.reduce((sum, kind) => sum + weights[kind], 0);
  for (const kind of failureKinds) {
    left -= weights[kind];
    if (left < 0) return kind;
  }
  return "unhealthy";
}
