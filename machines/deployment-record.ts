import type { DeploymentRecord, Mark, Outcome } from "../src/contracts/deployment.js";
import type { Happening } from "../src/contracts/event-types.js";
import type { Origin } from "../src/contracts/origin.js";
import { type Observed, type Plan, plan, type Wanted } from "./deployment-plan.js";

/** What a deployment knows, hears and says, and the arithmetic on its record. */

export interface DeploymentContext {
  readonly record: DeploymentRecord;
  readonly observed: Observed | null;
  /** What follows from the newest observation; `null` once a step was taken, until its effect is observed. */
  readonly plan: Plan | null;
  /** Counts the commands to members, so that no plan is made from what was seen before the last one took effect. */
  readonly step: number;
  /** On the deployment's clock, when an instance last moved; in the record as of the last step. */
  readonly movedAtMs: number;
  /** Ledger time of the newest event. */
  readonly nowMs: number;
  /** Ledger time from which silence and deadlines may be judged by this leader. */
  readonly judgeFromMs: number;
  /** When it has asked to be observed again; `null` if it has not. */
  readonly wakeAtMs: number | null;
}

/** What a deployment is told; `origin` goes into the audit log with what comes of it. */
export type DeploymentEvent = DeploymentNews & { readonly origin?: Origin };

type DeploymentNews =
  /**
   * What is the case. `moved`: an instance took a step since the last observation, `movedAgoMs` ago (0 if left out). `judgeFromMs`: the leader could not
   * hear for a while, and judges nobody before this ledger time.
   */
  | {
      readonly type: "observe";
      readonly observed: Observed;
      readonly moved: boolean;
      readonly movedAgoMs?: number;
      readonly nowMs: number;
      readonly judgeFromMs?: number;
    }
  | { readonly type: "pause"; readonly mark: Mark }
  | { readonly type: "resume"; readonly mark: Mark; readonly force: boolean }
  | { readonly type: "abort"; readonly mark: Mark }
  | { readonly type: "rollBack"; readonly mark: Mark }
  /** An instance has left the fleet; `failed` if it had ever failed here. */
  | { readonly type: "left"; readonly failed: boolean }
  /** A new leader has it: an unfinished step is taken again. */
  | { readonly type: "takenOver" };

export type DeploymentCommand =
  /** Takes the instances as this deployment's own. */
  | { readonly type: "claim"; readonly step: number }
  | {
      readonly type: "tell";
      readonly step: number;
      readonly instances: readonly string[];
      readonly toldAtMs: number;
    }
  | { readonly type: "expire"; readonly step: number; readonly instances: readonly string[] }
  /** Lets all go; unless this is a rollback, in-flight and failed instances are told what was stable before. */
  | { readonly type: "revert"; readonly step: number; readonly goBack: boolean }
  /** Lets all go; what succeeded is stable from now on. */
  | { readonly type: "complete"; readonly step: number }
  /** Durable, in the batch that ends this one: a deployment that goes back, and takes the claims over. */
  | { readonly type: "beginRollback"; readonly mark: Mark }
  /** Asks to be observed again at this ledger time at the latest, and not for what it asked before. */
  | { readonly type: "wake"; readonly atMs: number }
  | { readonly type: "alert"; readonly code: string; readonly message: string }
  /** Durable: an event of the audit log. */
  | {
      readonly type: "note";
      readonly what: Happening<"deployment">;
      readonly data: Readonly<Record<string, unknown>>;
    };

/** How long the deployment's own clock has run. */
export function ranMs({ clock }: DeploymentRecord, nowMs: number): number {
  return clock.ranMs + (clock.runningSinceMs === null ? 0 : Math.max(0, nowMs - clock.runningSinceMs));
}

export function wantedOf(record: DeploymentRecord): Wanted {
  const { batch, failureThreshold, spec } = record;
  return {
    batch,
    failureThreshold,
    deadlineMs: spec.deadlineMs,
    progressDeadlineMs: spec.progressDeadlineMs,
    reportsStuck: spec.onStuck === "report",
  };
}

/** Its clock has run for the progress deadline since an instance last moved; that clock stands still with the deployment. */
export function isPastProgressDeadline({ record, movedAtMs, nowMs }: DeploymentContext): boolean {
  return ranMs(record, nowMs) - movedAtMs >= record.spec.progressDeadlineMs;
}

export function planOf(context: DeploymentContext): Plan | null {
  const { record, observed, nowMs } = context;
  if (observed === null || observed.step !== context.step) return null;
  const policy = {
    standing: record.paused !== null || record.held !== null,
    mayJudge: nowMs >= context.judgeFromMs,
    ranMs: ranMs(record, nowMs),
    movedAtMs: context.movedAtMs,
    leftFailed: record.leftFailed,
  };
  return plan(wantedOf(record), observed, policy, nowMs);
}

/** The ledger has confirmed the last step, and its effect has been observed. */
export function isSettled({ observed, step }: DeploymentContext): boolean {
  return observed !== null && observed.step === step && observed.unwritten === 0;
}

/** Changes the record, and the plan that follows from it. */
export function change(
  context: DeploymentContext,
  changes: Partial<DeploymentRecord>,
  others: Partial<DeploymentContext> = {},
): Partial<DeploymentContext> {
  // The same record as long as nothing of it changes: it is written only when it is another.
  const isSame = Object.keys(changes).length === 0;
  const record = isSame ? context.record : { ...context.record, ...changes };
  const next = { ...context, ...others, record };
  return { ...others, record: next.record, plan: planOf(next) };
}

export function stopped(record: DeploymentRecord, nowMs: number) {
  return { ranMs: ranMs(record, nowMs), runningSinceMs: null };
}

export function outcomeWhenDone(record: DeploymentRecord): Outcome {
  return record.rollbackOf === null ? "completed" : "rolled_back";
}

export function outcomeWhenFailed(record: DeploymentRecord): Outcome {
  return record.rollbackOf === null ? "failed" : "rollback_failed";
}

/** The ledger time at which something may be due though nothing was reported; infinity if nothing can be. */
export function nextLookAtMs({
  record,
  plan: planned,
  observed,
  nowMs,
  judgeFromMs,
}: DeploymentContext): number {
  const times: number[] = [];
  if (nowMs < judgeFromMs) times.push(judgeFromMs);
  const standing = record.paused !== null || record.held !== null;
  if (!standing && planned !== null && planned.nextDeadlineMs !== null)
    times.push(nowMs + Math.max(0, planned.nextDeadlineMs - ranMs(record, nowMs)));
  if (record.held !== null && observed !== null && observed.silence.calmSinceMs !== null)
    times.push(observed.silence.calmSinceMs + observed.silence.windowMs);
  return Math.min(Number.POSITIVE_INFINITY, ...times.map((time) => Math.max(time, nowMs + 1)));
}

export const byRule = (nowMs: number, reason: string): Mark => ({ by: "rollcall", atMs: nowMs, reason });

/** The state in which a new leader takes a deployment over. Deadlines go on; the step that was under way is taken again. */
export function deploymentFromRecord(record: DeploymentRecord, nowMs: number, judgeFromMs: number) {
  const context: DeploymentContext = {
    record,
    observed: null,
    plan: null,
    step: 0,
    movedAtMs: record.movedAtMs,
    nowMs,
    judgeFromMs,
    wakeAtMs: null,
  };
  return { value: stateOf(record), context };
}

function stateOf(record: DeploymentRecord) {
  switch (record.stage) {
    case "running":
      return {
        running: {
          person: record.paused === null ? "going" : "paused",
          rule: record.held === null ? "clear" : "held",
          pace: "watching",
          motion: record.stuckAtMs === null ? "moving" : "stuck",
        },
      } as const;
    case "finished":
      return { finished: record.outcome ?? "failed" } as const;
    default:
      return record.stage;
  }
}
