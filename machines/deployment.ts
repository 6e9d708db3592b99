import { assign, emit, setup } from "xstate";
import type { DeploymentRecord, Mark, Outcome } from "../src/contracts/deployment.js";
import type { Reason } from "../src/contracts/instance.js";
import { plan, type Observed, type Plan, type Wanted } from "./deployment-plan.js";

/*
 * One roll-out, a rollback included: from claiming its instances to its outcome. Driven by observations of its
 * members, by people, and by the clock that it asked for. At each observation it has the planner
 * (deployment-plan.ts) say what follows, and takes the step that its state allows: tells the next instances,
 * judges those whose deadline has passed, holds while the network is suspect, ends. Three things about a
 * running one are independent of each other: whether a person has paused it, whether a rule holds it, and
 * whether it is writing the last step or watching. Its record is written with every transition, its outcome last and once.
 */

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
}

export type DeploymentEvent =
  /** What is the case. `moved`: an instance took a step since the last observation. */
  | { readonly type: "observe"; readonly observed: Observed; readonly moved: boolean; readonly nowMs: number }
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
  | { readonly type: "tell"; readonly step: number; readonly instances: readonly string[]; readonly toldAtMs: number }
  | { readonly type: "expire"; readonly step: number; readonly instances: readonly string[] }
  /** Lets all go; unless this is a rollback, in-flight and failed instances are told what was stable before. */
  | { readonly type: "revert"; readonly step: number; readonly tellBefore: boolean }
  /** Lets all go; what succeeded is stable from now on. */
  | { readonly type: "complete"; readonly step: number }
  /** Durable, in the batch that ends this one: a deployment that goes back, and takes the claims over. */
  | { readonly type: "beginRollback"; readonly mark: Mark }
  /** Asks to be observed again at this ledger time at the latest. */
  | { readonly type: "wake"; readonly atMs: number }
  | { readonly type: "alert"; readonly code: string; readonly message: string }
  /** Durable: an event of the audit log. */
  | { readonly type: "note"; readonly what: string; readonly data: Readonly<Record<string, unknown>> };

/** How long the deployment's own clock has run. */
export function ranMs({ clock }: DeploymentRecord, nowMs: number): number {
  return clock.ranMs + (clock.runningSinceMs === null ? 0 : Math.max(0, nowMs - clock.runningSinceMs));
}

export function wantedOf(record: DeploymentRecord): Wanted {
  const { batch, failureThreshold, spec } = record;
  return { batch, failureThreshold, deadlineMs: spec.deadlineMs, progressDeadlineMs: spec.progressDeadlineMs, isRollback: record.rollbackOf !== null };
}

function planOf(context: DeploymentContext): Plan | null {
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
function isSettled({ observed, step }: DeploymentContext): boolean {
  return observed !== null && observed.step === step && observed.unwritten === 0;
}

/** Changes the record, and the plan that follows from it. */
function change(context: DeploymentContext, changes: Partial<DeploymentRecord>, others: Partial<DeploymentContext> = {}): Partial<DeploymentContext> {
  const next = { ...context, ...others, record: { ...context.record, ...changes } };
  return { ...others, record: next.record, plan: planOf(next) };
}

function stopped(record: DeploymentRecord, nowMs: number) {
  return { ranMs: ranMs(record, nowMs), runningSinceMs: null };
}

function outcomeWhenDone(record: DeploymentRecord): Outcome {
  return record.rollbackOf === null ? "completed" : "rolled_back";
}

function outcomeWhenFailed(record: DeploymentRecord): Outcome {
  return record.rollbackOf === null ? "failed" : "rollback_failed";
}

/** The ledger time at which something may be due though nothing was reported; infinity if nothing can be. */
export function nextLookAtMs({ record, plan: planned, observed, nowMs, judgeFromMs }: DeploymentContext): number {
  const times: number[] = [];
  if (nowMs < judgeFromMs) times.push(judgeFromMs);
  const standing = record.paused !== null || record.held !== null;
  if (!standing && planned !== null && planned.nextDeadlineMs !== null) times.push(nowMs + Math.max(0, planned.nextDeadlineMs - ranMs(record, nowMs)));
  if (record.held !== null && observed !== null && observed.silence.calmSinceMs !== null) times.push(observed.silence.calmSinceMs + observed.silence.windowMs);
  return Math.min(Number.POSITIVE_INFINITY, ...times.map((time) => Math.max(time, nowMs + 1)));
}

const byRule = (nowMs: number, reason: string): Mark => ({ by: "rollcall", atMs: nowMs, reason });

export const deploymentMachine = setup({
  types: {
    context: {} as DeploymentContext,
    events: {} as DeploymentEvent,
    emitted: {} as DeploymentCommand,
    input: {} as { readonly record: DeploymentRecord; readonly nowMs: number; readonly judgeFromMs: number },
  },
  guards: {
    /** Every instance is claimed and the ledger has confirmed it. */
    isClaimed: ({ context }) => isSettled(context),
    /** No instance is claimed any more and the ledger has confirmed it. */
    isLetGo: ({ context }) => isSettled(context) && context.observed?.total === 0,
    isWritten: ({ context }) => isSettled(context),
    isDone: ({ context }) => context.plan?.verdict === "done",
    hasFailed: ({ context }) => context.plan?.verdict === "failed",
    /** It failed, wants to go back by itself, and some touched instance has somewhere to go back to. */
    failedAndGoesBack: ({ context }) =>
      context.plan?.verdict === "failed" && context.record.rollbackOf === null && context.record.spec.rollback === "auto" && (context.observed?.returnable ?? 0) > 0,
    canGoBack: ({ context }) => context.record.rollbackOf === null && (context.observed?.returnable ?? 0) > 0,
    mayTell: ({ context }) => context.plan !== null && context.plan.tell.length > 0,
    someOverdue: ({ context }) => context.plan !== null && context.plan.overdue.length > 0,
    isMassSilence: ({ context }) => context.plan?.massSilence === true && !context.record.forced && context.nowMs >= context.judgeFromMs,
    isSilenceOver: ({ context }) => context.plan?.silenceOver === true,
    forces: ({ event }) => event.type === "resume" && event.force,
    endsCompleted: ({ context }) => context.record.ending?.outcome === "completed",
    endsFailed: ({ context }) => context.record.ending?.outcome === "failed",
    endsAborted: ({ context }) => context.record.ending?.outcome === "aborted",
    endsRolledBack: ({ context }) => context.record.ending?.outcome === "rolled_back",
    endsRollbackFailed: ({ context }) => context.record.ending?.outcome === "rollback_failed",
  },
  actions: {
    look: assign(({ context, event }) => {
      if (event.type !== "observe") return {};
      const movedAtMs = event.moved ? ranMs(context.record, event.nowMs) : context.movedAtMs;
      const forced = context.record.forced && event.observed.silence.calmSinceMs === null;
      const record = forced === context.record.forced ? {} : { forced };
      return change(context, record, { observed: event.observed, movedAtMs, nowMs: event.nowMs });
    }),
    takeStep: assign(({ context }) => ({ step: context.step + 1, plan: null, record: { ...context.record, movedAtMs: context.movedAtMs } })),
    claim: emit(({ context }): DeploymentCommand => ({ type: "claim", step: context.step })),
    begin: assign(({ context }) => change(context, { stage: "running", clock: { ranMs: context.record.clock.ranMs, runningSinceMs: context.nowMs } })),
    tell: emit(({ context }): DeploymentCommand => ({ type: "tell", step: context.step + 1, instances: context.plan?.tell ?? [], toldAtMs: ranMs(context.record, context.nowMs) })),
    noteTold: emit(({ context }): DeploymentCommand => ({ type: "note", what: "told", data: { instances: context.plan?.tell.length ?? 0 } })),
    expire: emit(({ context }): DeploymentCommand => ({ type: "expire", step: context.step + 1, instances: context.plan?.overdue ?? [] })),
    wake: emit(({ context }): DeploymentCommand => ({ type: "wake", atMs: nextLookAtMs(context) })),
    pause: assign(({ context, event }) =>
      event.type === "pause" ? change(context, { paused: event.mark, generation: context.record.generation + 1, clock: stopped(context.record, event.mark.atMs) }) : {},
    ),
    resume: assign(({ context, event }) => {
      if (event.type !== "resume") return {};
      const { record } = context;
      const held = event.force ? null : record.held;
      const clock = held === null ? { ranMs: record.clock.ranMs, runningSinceMs: record.clock.runningSinceMs ?? event.mark.atMs } : record.clock;
      return change(context, { paused: null, held, forced: record.forced || event.force, generation: record.generation + 1, clock }, { nowMs: event.mark.atMs });
    }),
    hold: assign(({ context }) => {
      const silent = context.observed?.silence.newlySilent ?? 0;
      const held = byRule(context.nowMs, `${silent} instances that are not in flight went silent at once`);
      return change(context, { held, clock: stopped(context.record, context.nowMs) });
    }),
    unhold: assign(({ context }) => {
      const { record } = context;
      const clock = record.paused === null ? { ranMs: record.clock.ranMs, runningSinceMs: record.clock.runningSinceMs ?? context.nowMs } : record.clock;
      return change(context, { held: null, clock });
    }),
    countLeft: assign(({ context, event }) => (event.type === "left" && event.failed ? change(context, { leftFailed: context.record.leftFailed + 1 }) : {})),
    endDone: assign(({ context }) => change(context, { stage: "completing", ending: { outcome: outcomeWhenDone(context.record), reason: null }, clock: stopped(context.record, context.nowMs) })),
    endFailed: assign(({ context }) => {
      const reason: Reason | null = context.plan?.reason ?? null;
      return change(context, { stage: "reverting", ending: { outcome: outcomeWhenFailed(context.record), reason }, clock: stopped(context.record, context.nowMs) });
    }),
    endAborted: assign(({ context, event }) => {
      if (event.type !== "abort") return {};
      const reason: Reason = { code: "ABORTED", message: `Aborted by ${event.mark.by}${event.mark.reason === null ? "" : `: ${event.mark.reason}`}.` };
      return change(context, { stage: "reverting", ending: { outcome: "aborted", reason }, clock: stopped(context.record, event.mark.atMs) }, { nowMs: event.mark.atMs });
    }),
    endForRollback: assign(({ context, event }) => {
      const reason: Reason | null =
        event.type === "rollBack" ? { code: "ROLLED_BACK", message: `Rolled back by ${event.mark.by}${event.mark.reason === null ? "" : `: ${event.mark.reason}`}.` } : (context.plan?.reason ?? null);
      return change(context, { ending: { outcome: "failed", reason }, clock: stopped(context.record, context.nowMs) });
    }),
    beginRollback: emit(({ context, event }): DeploymentCommand => ({ type: "beginRollback", mark: event.type === "rollBack" ? event.mark : byRule(context.nowMs, context.plan?.reason?.message ?? "the deployment failed") })),
    keepCounts: assign(({ context }) => {
      const seen = context.observed;
      if (seen === null || context.record.counts !== null) return {};
      const { total, notNeeded, succeeded, failed, unreachable, inFlight } = seen;
      return change(context, { counts: { total, notNeeded, succeeded, failed, unreachable, inFlight: inFlight.length, waiting: seen.waiting + seen.urgent.length } });
    }),
    complete: emit(({ context }): DeploymentCommand => ({ type: "complete", step: context.step })),
    revert: emit(({ context }): DeploymentCommand => ({ type: "revert", step: context.step, tellBefore: context.record.rollbackOf === null })),
    finish: assign(({ context }) => change(context, { stage: "finished", outcome: context.record.ending?.outcome ?? null, finishedAtMs: context.nowMs, paused: null, held: null })),
    alert: emit(({ context }): DeploymentCommand => ({
      type: "alert",
      code: context.record.rollbackOf === null ? "DEPLOYMENT_FAILED" : "ROLLBACK_FAILED",
      message: `${context.record.id}: ${context.record.ending?.reason?.message ?? "it failed"}`,
    })),
    note: emit(({ context }, params: { what: string }): DeploymentCommand => ({
      type: "note",
      what: params.what,
      data: { outcome: context.record.ending?.outcome ?? null, reason: context.record.ending?.reason ?? context.record.held?.reason ?? context.record.paused?.reason ?? null },
    })),
  },
}).createMachine({
  id: "deployment",
  context: ({ input }) => ({ ...input, observed: null, plan: null, step: 0, movedAtMs: input.record.movedAtMs }),
  initial: "preparing",
  on: {
    observe: { actions: ["look", "wake"] },
    left: { actions: "countLeft" },
  },
  states: {
    preparing: {
      description: "It takes its instances as its own; nobody has been told anything.",
      entry: ["takeStep", "claim", { type: "note", params: { what: "created" } }],
      always: { guard: "isClaimed", target: "running" },
      on: { abort: { target: "reverting", actions: "endAborted" }, takenOver: { actions: ["takeStep", "claim"] } },
    },
    running: {
      description: "It rolls out, batch by batch.",
      type: "parallel",
      entry: ["begin", { type: "note", params: { what: "started" } }],
      always: [
        { guard: "failedAndGoesBack", target: "handingOver" },
        { guard: "hasFailed", target: "reverting", actions: ["endFailed"] },
        { guard: "isDone", target: "completing" },
      ],
      on: {
        abort: { target: "reverting", actions: "endAborted" },
        rollBack: { guard: "canGoBack", target: "handingOver" },
      },
      states: {
        person: {
          initial: "going",
          states: {
            going: { description: "Nobody has paused it.", on: { pause: { target: "paused", actions: ["pause", { type: "note", params: { what: "paused" } }] } } },
            paused: { description: "A person has paused it.", on: { resume: { target: "going", actions: ["resume", { type: "note", params: { what: "resumed" } }] } } },
          },
        },
        rule: {
          initial: "clear",
          states: {
            clear: {
              description: "No rule stands in its way.",
              always: { guard: "isMassSilence", target: "held", actions: ["hold", { type: "note", params: { what: "held" } }] },
            },
            held: {
              description: "So many instances went silent at once that the network is suspect.",
              always: { guard: "isSilenceOver", target: "clear", actions: ["unhold", { type: "note", params: { what: "released" } }] },
              on: { resume: { guard: "forces", target: "clear", actions: ["resume", { type: "note", params: { what: "forced" } }] } },
            },
          },
        },
        pace: {
          initial: "watching",
          states: {
            watching: {
              description: "It waits for instances in flight, or for its turn to go on.",
              always: [
                { guard: "someOverdue", target: "writing", actions: ["expire", "takeStep"] },
                { guard: "mayTell", target: "writing", actions: ["tell", "noteTold", "takeStep"] },
              ],
            },
            writing: {
              description: "Its last step is on the way into the ledger.",
              always: { guard: "isWritten", target: "watching" },
            },
          },
        },
      },
    },
    handingOver: {
      description: "It has failed, and a rollback takes its instances over.",
      entry: ["keepCounts", "endForRollback", "beginRollback"],
      always: "finished.failed",
    },
    completing: {
      description: "Every instance is done: what succeeded becomes stable.",
      entry: ["keepCounts", "endDone", "takeStep", "complete"],
      always: { guard: "isLetGo", target: "finished" },
      on: { takenOver: { actions: ["takeStep", "complete"] } },
    },
    reverting: {
      description: "It ends early: in-flight and failed instances are told what they had before, all are let go.",
      entry: ["keepCounts", "takeStep", "revert"],
      always: { guard: "isLetGo", target: "finished" },
      on: { takenOver: { actions: ["takeStep", "revert"] } },
    },
    finished: {
      description: "It is over; its outcome never changes.",
      entry: ["finish", { type: "note", params: { what: "finished" } }],
      initial: "deciding",
      states: {
        deciding: {
          always: [
            { guard: "endsCompleted", target: "completed" },
            { guard: "endsRolledBack", target: "rolled_back" },
            { guard: "endsAborted", target: "aborted" },
            { guard: "endsRollbackFailed", target: "rollback_failed" },
            { target: "failed" },
          ],
        },
        completed: { description: "Every reachable instance runs the new version, but for fewer failures than the threshold." },
        rolled_back: { description: "Every touched instance is back on what was stable before." },
        aborted: { description: "A person stopped it." },
        failed: { description: "The failure threshold or a deadline was reached.", entry: "alert" },
        rollback_failed: { description: "The way back has failed too: a person is needed.", entry: "alert" },
      },
    },
  },
});

/** The state in which a new leader takes a deployment over. Deadlines go on; the step that was under way is taken again. */
export function deploymentFromRecord(record: DeploymentRecord, nowMs: number, judgeFromMs: number) {
  const context: DeploymentContext = { record, observed: null, plan: null, step: 0, movedAtMs: record.movedAtMs, nowMs, judgeFromMs };
  return { value: valueOf(record), context };
}

function valueOf(record: DeploymentRecord) {
  switch (record.stage) {
    case "running":
      return { running: { person: record.paused === null ? "going" : "paused", rule: record.held === null ? "clear" : "held", pace: "watching" } } as const;
    case "finished":
      return { finished: record.outcome ?? "failed" } as const;
    default:
      return record.stage;
  }
}
