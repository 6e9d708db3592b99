import { assign, emit, enqueueActions, raise, setup } from "xstate";
import type { Phase } from "../src/contracts/instance.js";
import { isNewer } from "./accepted.js";
import { backoffMs, phaseBackoff } from "./backoff.js";
import {
  acceptedOf,
  epochSeen,
  freeSlot,
  freshChecks,
  hasEnded,
  hasNews,
  type InstanceCommand,
  type InstanceContext,
  type InstanceEvent,
  isApart,
  isFailing,
  isVersion,
  judged,
  keepOf,
  lostPort,
  mayRestore,
  mayTryAgain,
  mustMove,
  pauseMs,
  type Run,
  type Slot,
  slots,
  statusIn,
  strays,
  versionOf,
  vitality,
  watched,
} from "./instance-facts.js";
import { type StuckIn, stuckMsIn, unprovenMs } from "./instance-stuck.js";
import type { Launch } from "./process.js";

/** The guards, actions and delays of the instance machine; its chart is in instance.ts. */

/** Before a free port is looked for again on a host that has none. */
const portAgainMs = 5_000;
/** How much later than its own time limit a check is given up. */
const overdueMs = 5_000;

/** The release that a phase works on. */
function runOf({ target }: InstanceContext): Run {
  if (target === null || target.run === null) throw new Error("a phase works on a release");
  return target.run;
}

function workOf(context: InstanceContext) {
  const { release, config } = runOf(context);
  return { work: context.work, generation: context.target?.generation ?? 0, release, config };
}

/** What people see beside FAILED. */
function failedIn(phase: Phase) {
  return { percent: 0, note: `failed in ${phase}` };
}

/** The context after a request of a slot's process, and the command that makes it. */
function ordered(context: InstanceContext, slot: Slot, launch: Launch | null) {
  const seen = context.processes[slot];
  const order = seen.order + 1;
  const process = { ...seen, order, status: launch === null ? ("stopping" as const) : ("starting" as const) };
  const command: InstanceCommand =
    launch === null ? { type: "stopProcess", slot, order } : { type: "startProcess", slot, order, launch };
  return { change: { processes: { ...context.processes, [slot]: process } }, command };
}

/** The same for several slots whose processes are to end, one after the other. */
function orderedStop(context: InstanceContext, which: readonly Slot[]) {
  let next = context;
  return which.map((slot) => {
    const order = ordered(next, slot, null);
    next = { ...next, ...order.change };
    return order;
  });
}

export const instanceSetup = setup({
  types: {
    context: {} as InstanceContext,
    events: {} as InstanceEvent,
    emitted: {} as InstanceCommand,
    input: {} as { readonly instance: string },
  },
  delays: {
    stuck: ({ context }) => stuckMsIn.work(context),
    buildStuck: ({ context }) => stuckMsIn.build(context),
    endStuck: ({ context }) => stuckMsIn.end(context),
    /** A new process has its start period on top. */
    unproven: ({ context }) => unprovenMs(context),
    tryAgain: ({ context }) => backoffMs(phaseBackoff, context.tries, context.unit),
    portAgain: portAgainMs,
    betweenChecks: ({ context }) => pauseMs(context),
    checkOverdue: ({ context }) =>
      (watched(context)?.launch.release.manifest.healthCheck.timeoutMs ?? 0) + overdueMs,
  },
  guards: {
    isNewerState: ({ context, event }) =>
      event.type === "desired"
        ? isNewer(context, event.state.ledgerId, event.revision)
        : event.type === "taken" && isNewer(context, event.ledgerId, event.revision),
    hasNews: ({ context }) => hasNews(context),
    mayBegin: ({ context }) => context.known,
    isThisRead: ({ context, event }) => event.type === "asked" && event.read === context.read,
    isThisWork: ({ context, event }) => "work" in event && event.work === context.work,
    mayTryAgain: ({ context, event }) =>
      event.type === "phase.failed" && event.work === context.work && mayTryAgain(context, event.transient),
    isNewsOfProcess: ({ context, event }) =>
      event.type === "process" && event.order >= context.processes[event.slot].order,
    /** No process but the active version's is left. */
    isCleared: ({ context }) => strays(context).length === 0,
    wantsStop: ({ context }) => context.target?.run === null,
    /** Exactly this version is active with its routes, and its process runs without a failed check. */
    isServed: ({ context }) => {
      const run = context.target?.run ?? null;
      const status = statusIn(context, context.active);
      if (
        run === null ||
        context.active === null ||
        !context.published ||
        !isVersion(run, context.active.launch)
      )
        return false;
      return (status === "up" || status === "starting") && context.checks.failures === 0;
    },
    isHealthy: ({ context }) => vitality(context) === "healthy",
    isDegraded: ({ context }) => vitality(context) === "degraded",
    isUnknown: ({ context }) => vitality(context) === "unknown",
    isFailed: ({ context }) => vitality(context) === "failed",
    /** The old process has to end before the new one starts. */
    mustStopFirst: ({ context }) =>
      isApart(context) &&
      runOf(context).release.manifest.order === "stopFirst" &&
      statusIn(context, context.active) !== "gone",
    oldIsGone: ({ context }) => statusIn(context, context.active) === "gone",
    allGone: ({ context }) => slots.every((slot) => context.processes[slot].status === "gone"),
    candidateEnded: ({ context }) => hasEnded(context, context.candidate),
    /** Another program has taken the port that was chosen for the new process. */
    candidateLostPort: ({ context }) => isApart(context) && lostPort(context, context.candidate),
    mustMove: ({ context }) => mustMove(context),
    isPort: ({ event }) => event.type === "port" && event.port !== null,
    candidateFails: ({ context }) => isFailing(context),
    candidateIsHealthy: ({ context }) =>
      statusIn(context, context.candidate) === "up" && context.checks.verdict === "healthy",
    candidateServes: ({ context }) => !isApart(context),
    hasNoVerdict: ({ context }) => context.checks.verdict === null,
    activeEnded: ({ context }) => hasEnded(context, context.active),
    mayCheck: ({ context }) => statusIn(context, watched(context)) === "up",
    isThisCheck: ({ context, event }) => event.type === "checked" && event.number === context.checks.number,
  },
  actions: {
    // Desired states
    accept: assign(({ context, event }) => {
      if (event.type === "taken")
        return { ...acceptedOf(context, event.ledgerId, event.revision, event.epoch), takenBy: event.owner };
      if (event.type !== "desired") return {};
      const { state, revision } = event;
      return { ...acceptedOf(context, state.ledgerId, revision, state.epoch), wanted: state, takenBy: null };
    }),
    seeEpoch: assign(({ context, event }) => (event.type === "epoch" ? epochSeen(context, event) : {})),
    know: assign({ known: true }),
    doubt: assign({ known: false }),
    nextRead: assign(({ context }) => ({ read: context.read + 1 })),
    readDesired: emit(({ context }): InstanceCommand => ({ type: "readDesired", read: context.read })),
    takeTarget: assign(({ context }) => {
      if (context.wanted === null) return {};
      const { ledgerId, generation, run, minHealthyMs } = context.wanted;
      return {
        target: { ledgerId, generation, run, minHealthyMs },
        reached: false,
        moves: 0,
        failure: null,
        progress: { percent: 0, note: "" },
      };
    }),
    // Work
    enterPhase: assign({ progress: { percent: 0, note: "" }, tries: 0 }),
    nextWork: assign(({ context }) => ({ work: context.work + 1 })),
    pull: emit(({ context }): InstanceCommand => ({ type: "pull", ...workOf(context) })),
    build: emit(({ context }): InstanceCommand => ({ type: "build", ...workOf(context) })),
    copy: emit(({ context }): InstanceCommand => ({ type: "copy", ...workOf(context) })),
    prepareNext: emit(({ context }): InstanceCommand => ({ type: "prepareNext", ...workOf(context) })),
    stageRoutes: emit(
      ({ context }): InstanceCommand => ({
        type: "stageRoutes",
        ...workOf(context),
        port: runOf(context).release.manifest.port ?? null,
      }),
    ),
    activate: emit(({ context }): InstanceCommand => ({ type: "activate", ...workOf(context) })),
    withdrawRoutes: emit(
      ({ context }): InstanceCommand => ({
        type: "withdrawRoutes",
        work: context.work,
        generation: context.target?.generation ?? 0,
      }),
    ),
    cancel: emit(
      ({ context }): InstanceCommand => ({
        type: "cancel",
        work: context.work,
        generation: context.target?.generation ?? 0,
      }),
    ),
    abandon: emit(
      ({ context }): InstanceCommand => ({ type: "abandon", generation: context.target?.generation ?? 0 }),
    ),
    prune: emit(
      ({ context }): InstanceCommand => ({
        type: "prune",
        generation: context.target?.generation ?? 0,
        keep: keepOf(context),
      }),
    ),
    noteProgress: assign(({ event }) =>
      event.type === "phase.progress" ? { progress: { percent: event.percent, note: event.note } } : {},
    ),
    noteWork: assign((_, params: { note: string }) => ({ progress: { percent: 0, note: params.note } })),
    countTry: assign(({ context, event }) => {
      if (event.type !== "phase.failed") return {};
      const note = `again in a moment: ${event.fault.message ?? event.fault.code}`;
      return {
        tries: context.tries + 1,
        unit: event.unit,
        work: context.work + 1,
        progress: { percent: 0, note },
      };
    }),
    failWork: assign(({ event }, params: { phase: Phase }) =>
      event.type === "phase.failed" ? { failure: event.fault, progress: failedIn(params.phase) } : {},
    ),
    failStuck: assign(({ context }, { phase, doing }: StuckIn) => {
      const details = { phase, stuckMs: stuckMsIn[doing](context) };
      return { failure: { code: "PHASE_STUCK", details }, progress: failedIn(phase) };
    }),
    failProcess: assign(({ context }, params: { phase: Phase }) => {
      const process = watched(context);
      const fault = process === null ? null : context.processes[process.slot].fault;
      return { failure: fault ?? { code: "START_FAILED", details: {} }, progress: failedIn(params.phase) };
    }),
    failChecks: assign(({ context }) => {
      const version = watched(context)?.launch.release.version;
      const { failures, detail } = context.checks;
      const details = { version, failures, problem: detail };
      return { failure: { code: "HEALTH_CHECK_FAILED", details }, progress: failedIn("HEALTH_CHECK") };
    }),
    // Processes
    rememberProcess: assign(({ context, event }) => {
      if (event.type !== "process") return {};
      const { slot, order, status, pid, restarts, fault, atMs } = event;
      const before = context.processes[slot];
      const upAtMs = status === "up" && before.status !== "up" ? atMs : before.upAtMs;
      const processes = { ...context.processes, [slot]: { status, order, pid, restarts, fault, upAtMs } };
      const forget = slot === watched(context)?.slot && status !== "up";
      return forget ? { processes, checks: { ...context.checks, ...freshChecks } } : { processes };
    }),
    placeCandidate: assign(({ context, event }) => {
      const { ledgerId = "", generation = 0 } = context.target ?? {};
      const port = event.type === "phase.done" ? event.port : undefined;
      if (port === undefined) throw new Error("staged routes lead to a port");
      const launch: Launch = { ledgerId, generation, ...runOf(context), port };
      return {
        candidate: { slot: freeSlot(context), launch },
        checks: { ...context.checks, ...freshChecks },
      };
    }),
    /** What serves already is to prove itself. */
    proveActive: assign(({ context }) => ({ candidate: context.active })),
    forgetCandidate: enqueueActions(({ context, enqueue }) => {
      if (isApart(context)) {
        enqueue.assign({ checks: { ...context.checks, ...freshChecks } });
        enqueue.raise({ type: "recheck" });
      }
      enqueue.assign({ candidate: null });
    }),
    startCandidate: enqueueActions(({ context, enqueue }) => {
      if (context.candidate === null) return;
      const { change, command } = ordered(context, context.candidate.slot, context.candidate.launch);
      enqueue.assign(change);
      enqueue.emit(command);
    }),
    stopOld: enqueueActions(({ context, enqueue }) => {
      if (context.active === null) return;
      const { change, command } = ordered(context, context.active.slot, null);
      enqueue.assign(change);
      enqueue.emit(command);
    }),
    /** What `current` points at serves again, as soon as nothing is in its way. */
    restoreService: enqueueActions(({ context, enqueue }) => {
      if (context.active === null || !mayRestore(context)) return;
      const { change, command } = ordered(context, context.active.slot, context.active.launch);
      enqueue.assign(change);
      enqueue.emit(command);
    }),
    /** What people and proxies find on the disk is what is active. */
    restore: enqueueActions(({ context, enqueue }) => {
      if (context.active !== null && context.published)
        enqueue.emit({ type: "restore", launch: context.active.launch });
    }),
    countMove: assign(({ context }) => ({ moves: context.moves + 1 })),
    choosePort: emit((): InstanceCommand => ({ type: "choosePort" })),
    /** The active version's process is started on the new port, and its routes lead there. */
    move: enqueueActions(({ context, event, enqueue }) => {
      const { active, candidate } = context;
      if (event.type !== "port" || event.port === null || active === null) return;
      const moved = { ...active, launch: { ...active.launch, port: event.port } };
      const { change, command } = ordered(context, moved.slot, moved.launch);
      enqueue.assign({ ...change, active: moved, candidate: candidate === null ? null : moved });
      enqueue.emit({ type: "restore", launch: moved.launch });
      enqueue.emit(command);
    }),
    /** No process runs but the active version's. */
    sweep: enqueueActions(({ context, enqueue }) => {
      for (const { change, command } of orderedStop(context, strays(context))) {
        enqueue.assign(change);
        enqueue.emit(command);
      }
    }),
    stopAll: enqueueActions(({ context, enqueue }) => {
      for (const { change, command } of orderedStop(context, slots)) {
        enqueue.assign(change);
        enqueue.emit(command);
      }
    }),
    becomeActive: assign(({ context }) => {
      const { active, candidate, previous } = context;
      if (candidate === null) return {};
      const left =
        active !== null && !isVersion(active.launch, candidate.launch) ? versionOf(active.launch) : previous;
      return {
        active: candidate,
        previous: left,
        candidate: null,
        published: true,
        reached: true,
        progress: { percent: 100, note: "" },
      };
    }),
    /** What runs is what was asked for: there was nothing to do. */
    settle: assign({ reached: true, progress: { percent: 100, note: "" } }),
    beginWithdrawal: assign({ published: false }),
    /** Its routes are taken back: whatever runs of it serves nobody any more. */
    becomeIdle: assign(({ context }) => ({
      active: null,
      previous: context.active === null ? context.previous : versionOf(context.active.launch),
    })),
    // Checks
    nextCheck: assign(({ context }) => ({
      checks: { ...context.checks, number: context.checks.number + 1 },
    })),
    check: emit(({ context }): InstanceCommand => {
      const process = watched(context);
      if (process === null) throw new Error("only a process is checked");
      return { type: "check", number: context.checks.number, launch: process.launch };
    }),
    judge: assign(({ context, event }) =>
      event.type === "checked"
        ? {
            checks: judged(context, event.verdict, event.detail, event.atMs),
            ...(event.verdict === "healthy" && { moves: 0 }),
          }
        : {},
    ),
    /** Counts like a failed check, but for a process that has never answered: its start period is not known here. */
    judgeOverdue: assign(({ context }) => {
      const { checks } = context;
      const failures = checks.verdict === null ? checks.failures : checks.failures + 1;
      return { checks: { ...checks, failures, goodSinceMs: null, detail: "the check did not end" } };
    }),
    recheck: raise({ type: "recheck" }),
  },
});
