import { assign, emit, enqueueActions, setup } from "xstate";
import type { DeploymentRecord } from "../src/contracts/deployment.js";
import type { Happening } from "../src/contracts/event-types.js";
import type { Reason } from "../src/contracts/instance.js";
import { countsOf, stuckReason } from "./deployment-plan.js";
import {
  byRule,
  change,
  type DeploymentCommand,
  type DeploymentContext,
  type DeploymentEvent,
  isPastProgressDeadline,
  isSettled,
  nextLookAtMs,
  outcomeWhenDone,
  outcomeWhenFailed,
  ranMs,
  stopped,
  wantedOf,
} from "./deployment-record.js";

/** The reason of a deployment that a person sent back. */
const rolledBackByPerson = "ROLLED_BACK";

/** So many are silent that it has to hold: by this very look nobody is told or judged either. */
function mustHold({ plan, record, nowMs, judgeFromMs }: DeploymentContext): boolean {
  return plan?.massSilence === true && !record.forced && nowMs >= judgeFromMs;
}

/** For whoever reads of it later: how long it had not moved, and after how long of running. */
function movementOf({ record, movedAtMs, nowMs }: DeploymentContext) {
  const ran = ranMs(record, nowMs);
  return { ranMs: ran, stillForMs: ran - movedAtMs };
}

/** The named guards and actions of the deployment machine: what each word of its statechart means. */

export const deploymentRules = setup({
  types: {
    context: {} as DeploymentContext,
    events: {} as DeploymentEvent,
    emitted: {} as DeploymentCommand,
    /** It goes on once the ledger has what its instances write. */
    tags: {} as "awaitsLedger",
    input: {} as { readonly record: DeploymentRecord; readonly nowMs: number; readonly judgeFromMs: number },
  },
  guards: {
    /** Every instance is claimed and the ledger has confirmed it. */
    isClaimed: ({ context }) => isSettled(context),
    /** The same, and it was aborted meanwhile. */
    isClaimedInVain: ({ context }) => isSettled(context) && context.record.ending !== null,
    /** No instance is claimed any more and the ledger has confirmed it. */
    isLetGo: ({ context }) => isSettled(context) && context.observed?.total === 0,
    /** An instance that joined while the others were let go. */
    hasNewcomers: ({ context }) => isSettled(context) && (context.observed?.total ?? 0) > 0,
    isWritten: ({ context }) => isSettled(context),
    /** While it stands it does not end: whoever fell silent meanwhile would be left out. */
    isDone: ({ context: { plan, record } }) =>
      plan?.verdict === "done" && record.paused === null && record.held === null,
    hasFailed: ({ context }) => context.plan?.verdict === "failed",
    /** It failed, wants to go back by itself, and some touched instance has somewhere to go back to. */
    failedAndGoesBack: ({ context }) =>
      context.plan?.verdict === "failed" &&
      context.record.rollbackOf === null &&
      context.record.spec.rollback === "auto" &&
      (context.observed?.returnable ?? 0) > 0,
    canGoBack: ({ context }) => context.record.rollbackOf === null && (context.observed?.returnable ?? 0) > 0,
    mayTell: ({ context }) => (context.plan?.tell.length ?? 0) > 0 && !mustHold(context),
    someOverdue: ({ context }) => (context.plan?.overdue.length ?? 0) > 0 && !mustHold(context),
    isMassSilence: ({ context }) => mustHold(context),
    isStuck: ({ context }) => context.plan?.stuck === true && !mustHold(context),
    isMovingAgain: ({ context }) => !isPastProgressDeadline(context),
    isSilenceOver: ({ context }) => context.plan?.silenceOver === true,
    forces: ({ event }) => event.type === "resume" && event.force,
    endsCompleted: ({ context }) => context.record.ending?.outcome === "completed",
    endsAborted: ({ context }) => context.record.ending?.outcome === "aborted",
    endsRolledBack: ({ context }) => context.record.ending?.outcome === "rolled_back",
    endsRollbackFailed: ({ context }) => context.record.ending?.outcome === "rollback_failed",
  },
  actions: {
    look: assign(({ context, event }) => {
      if (event.type !== "observe") return {};
      const movedAtMs = event.moved
        ? Math.max(context.movedAtMs, ranMs(context.record, event.nowMs) - (event.movedAgoMs ?? 0))
        : context.movedAtMs;
      const forced = context.record.forced && event.observed.silence.calmSinceMs === null;
      const record = forced === context.record.forced ? {} : { forced };
      const { judgeFromMs = context.judgeFromMs } = event;
      return change(context, record, {
        observed: event.observed,
        movedAtMs,
        nowMs: event.nowMs,
        judgeFromMs,
      });
    }),
    takeStep: assign(({ context }) => ({
      step: context.step + 1,
      plan: null,
      record: { ...context.record, movedAtMs: context.movedAtMs },
    })),
    claim: emit(({ context }): DeploymentCommand => ({ type: "claim", step: context.step })),
    begin: assign(({ context }) =>
      change(context, {
        stage: "running",
        clock: { ranMs: context.record.clock.ranMs, runningSinceMs: context.nowMs },
      }),
    ),
    tell: emit(
      ({ context }): DeploymentCommand => ({
        type: "tell",
        step: context.step + 1,
        instances: context.plan?.tell ?? [],
        toldAtMs: ranMs(context.record, context.nowMs),
      }),
    ),
    noteTold: emit(
      ({ context }): DeploymentCommand => ({
        type: "note",
        what: "told",
        data: {
          step: context.step + 1,
          instances: context.plan?.tell.length ?? 0,
          unreachable: context.observed?.unreachable ?? 0,
        },
      }),
    ),
    noteExpired: emit(
      ({ context }): DeploymentCommand => ({
        type: "note",
        what: "expired",
        data: { step: context.step + 1, instances: context.plan?.overdue.length ?? 0 },
      }),
    ),
    /** After the step in which it takes them. */
    noteCreated: emit(({ context: { record, step } }): DeploymentCommand => {
      const { batch, failureThreshold, matched, rollbackOf, retryOf, created, spec } = record;
      const { release, config, selector, batch: askedBatch, failureThreshold: askedThreshold } = spec;
      const { minHealthyMs, deadlineMs, progressDeadlineMs, rollback, onStuck = "fail" } = spec;
      const numbers = { release, config, selector, batch, failureThreshold, matched, rollbackOf, retryOf };
      // All that it goes by: its course can be played again from the log alone.
      const rules = {
        askedBatch,
        askedThreshold,
        minHealthyMs,
        deadlineMs,
        progressDeadlineMs,
        rollback,
        onStuck,
      };
      return { type: "note", what: "created", data: { step, ...numbers, ...rules, reason: created.reason } };
    }),
    /** With the numbers that it is held for. */
    noteHeld: emit(({ context: { record, observed } }): DeploymentCommand => {
      const { others, silent, newlySilent } = observed?.silence ?? { others: 0, silent: 0, newlySilent: 0 };
      const data = { reason: record.held?.reason ?? null, others, silent, newlySilent };
      return { type: "note", what: "held", data };
    }),
    /** Before the look in which the record forgets it. */
    noteUnforced: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== "observe" || !context.record.forced) return;
      if (event.observed.silence.calmSinceMs === null) return;
      enqueue.emit({ type: "note", what: "unforced", data: {} } satisfies DeploymentCommand);
    }),
    noteLeft: enqueueActions(({ event, enqueue }) => {
      if (event.type !== "left" || !event.failed) return;
      enqueue.emit({ type: "note", what: "left", data: {} } satisfies DeploymentCommand);
    }),
    noteStep: emit(
      ({ context: { record, step } }, params: { what: Happening<"deployment"> }): DeploymentCommand => ({
        type: "note",
        what: params.what,
        data: {
          step,
          outcome: record.ending?.outcome ?? null,
          reason: record.ending?.reason ?? null,
        },
      }),
    ),
    expire: emit(
      ({ context }): DeploymentCommand => ({
        type: "expire",
        step: context.step + 1,
        instances: context.plan?.overdue ?? [],
      }),
    ),
    /** Once for each time: most looks find that it is the same as before. */
    wake: enqueueActions(({ context, enqueue }) => {
      const atMs = nextLookAtMs(context);
      if (atMs === context.wakeAtMs) return;
      enqueue.assign({ wakeAtMs: atMs });
      enqueue.emit({ type: "wake", atMs } satisfies DeploymentCommand);
    }),
    pause: assign(({ context, event }) =>
      event.type === "pause"
        ? change(context, {
            paused: event.mark,
            generation: context.record.generation + 1,
            clock: stopped(context.record, event.mark.atMs),
          })
        : {},
    ),
    resume: assign(({ context, event }) => {
      if (event.type !== "resume") return {};
      const { record } = context;
      const held = event.force ? null : record.held;
      // One request may end both a pause and a hold.
      if (record.paused === null && held === record.held) return {};
      const clock =
        held === null
          ? { ranMs: record.clock.ranMs, runningSinceMs: record.clock.runningSinceMs ?? event.mark.atMs }
          : record.clock;
      return change(
        context,
        {
          paused: null,
          held,
          forced: record.forced || event.force,
          generation: record.generation + 1,
          clock,
        },
        { nowMs: event.mark.atMs },
      );
    }),
    hold: assign(({ context }) => {
      const silent = context.observed?.silence.newlySilent ?? 0;
      const held = byRule(context.nowMs, `${silent} instances that are not in flight went silent at once`);
      return change(context, { held, clock: stopped(context.record, context.nowMs) });
    }),
    unhold: assign(({ context }) => {
      const { record } = context;
      const clock =
        record.paused === null
          ? { ranMs: record.clock.ranMs, runningSinceMs: record.clock.runningSinceMs ?? context.nowMs }
          : record.clock;
      return change(context, { held: null, clock });
    }),
    countLeft: assign(({ context, event }) => {
      if (event.type !== "left" || !event.failed) return {};
      const { record, observed } = context;
      // Its failure moves from what was observed to the record: until the next look it must not count twice.
      const others = observed && { ...observed, everFailed: Math.max(0, observed.everFailed - 1) };
      return change(context, { leftFailed: record.leftFailed + 1 }, { observed: others });
    }),
    endDone: assign(({ context }) =>
      change(context, {
        stage: "completing",
        ending: { outcome: outcomeWhenDone(context.record), reason: null },
        clock: stopped(context.record, context.nowMs),
      }),
    ),
    endFailed: assign(({ context }) => {
      const reason: Reason | null = context.plan?.reason ?? null;
      return change(context, {
        ending: { outcome: outcomeWhenFailed(context.record), reason },
        clock: stopped(context.record, context.nowMs),
      });
    }),
    endAborted: assign(({ context, event }) => {
      if (event.type !== "abort") return {};
      const reason: Reason = {
        code: "ABORTED",
        message: `Aborted by ${event.mark.by}${event.mark.reason === null ? "" : `: ${event.mark.reason}`}.`,
      };
      return change(
        context,
        {
          ending: { outcome: "aborted", reason },
          clock: stopped(context.record, event.mark.atMs),
        },
        { nowMs: event.mark.atMs },
      );
    }),
    beginReverting: assign(({ context }) => change(context, { stage: "reverting" })),
    endForRollback: assign(({ context, event }) => {
      const reason: Reason | null =
        event.type === "rollBack"
          ? {
              code: rolledBackByPerson,
              message: `Rolled back by ${event.mark.by}${event.mark.reason === null ? "" : `: ${event.mark.reason}`}.`,
            }
          : (context.plan?.reason ?? null);
      const nowMs = event.type === "rollBack" ? event.mark.atMs : context.nowMs;
      const ending = { outcome: "failed", reason } as const;
      return change(context, { ending, clock: stopped(context.record, nowMs) }, { nowMs });
    }),
    beginRollback: emit(
      ({ context, event }): DeploymentCommand => ({
        type: "beginRollback",
        mark:
          event.type === "rollBack"
            ? event.mark
            : byRule(context.nowMs, context.plan?.reason?.message ?? "the deployment failed"),
      }),
    ),
    keepCounts: assign(({ context }) => {
      const seen = context.observed;
      if (seen === null || context.record.counts !== null) return {};
      return change(context, { counts: countsOf(seen) });
    }),
    complete: emit(({ context }): DeploymentCommand => ({ type: "complete", step: context.step })),
    revert: emit(
      ({ context }): DeploymentCommand => ({
        type: "revert",
        step: context.step,
        goBack: context.record.rollbackOf === null,
      }),
    ),
    finish: assign(({ context }) =>
      change(context, {
        stage: "finished",
        outcome: context.record.ending?.outcome ?? null,
        finishedAtMs: context.nowMs,
        paused: null,
        held: null,
        stuckAtMs: null,
      }),
    ),
    alert: enqueueActions(({ context: { record }, enqueue }) => {
      const { code, message = "it failed" } = record.ending?.reason ?? {};
      // Who asked for it knows.
      if (code === rolledBackByPerson) return;
      const alert: DeploymentCommand = {
        type: "alert",
        code: record.rollbackOf === null ? "DEPLOYMENT_FAILED" : "ROLLBACK_FAILED",
        message: `${record.id}: ${message}`,
      };
      enqueue.emit(alert);
    }),
    noteStuck: emit(
      ({ context }): DeploymentCommand => ({
        type: "note",
        what: "stuck",
        data: { reason: stuckReason(wantedOf(context.record)), ...movementOf(context) },
      }),
    ),
    markStuck: assign(({ context }) => change(context, { stuckAtMs: context.nowMs })),
    unmarkStuck: assign(({ context }) => change(context, { stuckAtMs: null, movedAtMs: context.movedAtMs })),
    /** Of one that fails by it the failure is told. */
    alertStuck: enqueueActions(({ context: { record }, enqueue }) => {
      if (record.spec.onStuck !== "report") return;
      const { code, message } = stuckReason(wantedOf(record));
      enqueue.emit({ type: "alert", code, message: `${record.id}: ${message}` } satisfies DeploymentCommand);
    }),
    note: emit(
      ({ context }, params: { what: Happening<"deployment"> }): DeploymentCommand => ({
        type: "note",
        what: params.what,
        data: {
          outcome: context.record.ending?.outcome ?? null,
          reason:
            context.record.ending?.reason ??
            context.record.held?.reason ??
            context.record.paused?.reason ??
            null,
        },
      }),
    ),
  },
});
