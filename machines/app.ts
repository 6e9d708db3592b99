import { assign, emit, setup } from "xstate";
import { accept, isNewer } from "./accepted.js";
import {
  type AppCommand,
  type AppContext,
  type AppEvent,
  achieved,
  begun,
  type CallLimits,
  callOf,
  deathOf,
  freshApp,
  isOvertaken,
  isRepeat,
  isStarting,
  nextVerb,
  retryInMs,
  timeoutOf,
  type Verb,
} from "./app-facts.js";

/*
 * One app on one instance: brings what is here to what is asked, one call of the engine after the other, never two at once.
 * Driven by the records of the app (`desired`), by what becomes of the calls, and by people who ask to try again. It decides
 * which call comes next, what a failure means, when it is tried again (never giving up, unless the cause is permanent), and what the
 * app's init status is (`initStatusOf`). Calls are made in a turn that its host grants, so that many apps together stay
 * within a rate. That an app may run is in its record before it can.
 */

/** Enabled for so long, it is taken to work: earlier failures are forgiven. */
export const appSustainedMs = 60_000;

const whatWasFailed = (context: AppContext) => ({
  call: null,
  failedNow: true,
  attempts: context.attempts + 1,
});

function isOutdated({ call, wanted }: AppContext): boolean {
  return call?.generation !== wanted?.generation;
}

/** A call of the engine, and what may become of it. */
const calling = (verb: Verb, description: string) =>
  ({
    description,
    entry: [{ type: "call", params: { verb } }, "sendCall"],
    after: {
      limit: [
        { guard: "isOutdated", target: "choosing", actions: "letGo" },
        { target: "choosing", actions: ["cancel", "noteTimeout"] },
      ],
    },
    on: {
      done: { guard: "isThisCall", target: "choosing", actions: "noteDone" },
      failed: [
        { guard: "isOutdatedCall", target: "choosing", actions: "letGo" },
        { guard: "isThisCall", target: "choosing", actions: "noteFailure" },
      ],
    },
  }) as const;

const nextIs = (verb: Verb) => ({ type: "nextIs", params: { verb } }) as const;

export const appMachine = setup({
  types: {
    context: {} as AppContext,
    events: {} as AppEvent,
    emitted: {} as AppCommand,
    input: {} as { readonly app: string; readonly limitsMs: CallLimits },
  },
  delays: {
    limit: ({ context }) => context.limitsMs[context.call?.verb ?? "enable"],
    backoff: ({ context }) => retryInMs(context),
    sustained: appSustainedMs,
  },
  guards: {
    isNewer: ({ context, event }) =>
      event.type === "desired" && isNewer(context, event.state.ledgerId, event.revision),
    /** The same once more, written so that others can read it too. */
    isRepeated: ({ context, event }) =>
      event.type === "desired" &&
      isNewer(context, event.state.ledgerId, event.revision) &&
      isRepeat(context, event.state),
    /** It makes the call under way needless. */
    overtakes: ({ context, event }) =>
      event.type === "desired" &&
      isNewer(context, event.state.ledgerId, event.revision) &&
      context.call !== null &&
      isOvertaken(context.call, event.state),
    /** The ledger that asked for it has cleared its tombstone since. */
    wasCleared: ({ context, event }) =>
      event.type === "missing" &&
      event.ledgerId === context.accepted?.ledgerId &&
      event.revision > context.accepted.revision,
    /** A newer ledger has never heard of it. */
    isStranger: ({ context, event }) =>
      event.type === "missing" &&
      event.ledgerId !== context.accepted?.ledgerId &&
      isNewer(context, event.ledgerId, event.revision),
    diedInCall: ({ context }) =>
      context.call !== null && isStarting(context.call.verb) && !isOutdated(context),
    isThisCall: ({ context, event }) => "number" in event && event.number === context.number,
    /** What it was made for is not asked any more: its failure says nothing. */
    isOutdated: ({ context }) => isOutdated(context),
    isOutdatedCall: ({ context, event }) =>
      event.type === "failed" && event.number === context.number && isOutdated(context),
    isRunning: ({ context }) => context.runs !== null,
    hasWork: ({ context }) => context.failedNow || nextVerb(context) !== null,
    isIdle: ({ context }) => !context.failedNow && nextVerb(context) === null,
    isOver: ({ context }) => nextVerb(context) === null && (context.halting || context.dropped),
    isHalting: ({ context }) => context.halting,
    /** Something else is asked now than what failed. */
    isForgiven: ({ context }) => context.failure === null,
    mustCleanUp: ({ context }) => context.failedNow && context.mayRun && context.failure?.verb !== "disable",
    hasFailedAtTheEnd: ({ context }) => context.failedNow && context.halting,
    hasFailedForGood: ({ context }) =>
      context.failedNow && context.failure?.permanent === true && !context.mayRun,
    hasFailed: ({ context }) => context.failedNow,
    nextIs: ({ context }, { verb }: { verb: Verb }) => nextVerb(context) === verb,
  },
  actions: {
    accept: assign(({ context, event }) => {
      if (event.type !== "desired") return {};
      const { state, revision, heard } = event;
      const { generation, desiredStatus, content } = state;
      return {
        ...accept(context, state.ledgerId, revision),
        wanted: { generation, desiredStatus, content },
        heard,
        cause: heard === "told" ? ("told" as const) : ("started" as const),
        unlisted: false,
        dropped: false,
        failure: null,
        failedNow: false,
        attempts: 0,
      };
    }),
    acceptAgain: assign(({ context, event }) =>
      event.type === "desired" ? accept(context, event.state.ledgerId, event.revision) : {},
    ),
    drop: assign(({ context }) => ({
      wanted: context.wanted === null ? null : { ...context.wanted, desiredStatus: "uninstalled" as const },
      dropped: true,
      failure: null,
      failedNow: false,
      attempts: 0,
      cause: "told" as const,
    })),
    unlist: assign({ unlisted: true }),
    wake: assign({ call: null, attempts: 0 }),
    noteDeath: assign(({ context, event }) => ({
      ...whatWasFailed(context),
      failure: { ...deathOf(context), verb: null },
      unit: event.type === "resume" ? event.unit : 0,
    })),
    beginHalt: assign({ halting: true }),
    call: assign(({ context }, { verb }: { verb: Verb }) => {
      const call = callOf(context, verb);
      return { ...begun(call), call, number: context.number + 1, doubted: false };
    }),
    sendCall: emit(({ context: { call, number } }): AppCommand => {
      if (call === null) throw new Error("a call is sent once it is noted");
      return { type: "call", number, verb: call.verb, content: call.content };
    }),
    cancel: emit(({ context }): AppCommand => ({ type: "cancel", number: context.number })),
    noteDone: assign(({ context }) =>
      context.call === null ? {} : { ...achieved(context, context.call), call: null },
    ),
    noteFailure: assign(({ context, event }) => {
      if (event.type !== "failed") return {};
      const failure = { ...event.failure, verb: context.call?.verb ?? null };
      return { ...whatWasFailed(context), failure, unit: event.unit };
    }),
    noteTimeout: assign(({ context }) => ({
      ...whatWasFailed(context),
      failure: { ...timeoutOf(context), verb: context.call?.verb ?? null },
    })),
    noteEnd: assign(({ context, event }) => {
      if (event.type !== "ended") return {};
      const failure = { ...event.failure, verb: null };
      const ended = { runs: null, ready: null, unit: event.unit, cause: "ended" as const };
      return { ...whatWasFailed(context), failure, ...ended };
    }),
    letGo: assign({ call: null }),
    /** A call that was given up has succeeded after all: nobody knows what that has undone. */
    doubt: assign({ installed: null, ready: null, runs: null, mayRun: true, mayBeHere: true, doubted: true }),
    failAgain: assign({ failedNow: true }),
    settle: assign({ failedNow: false }),
    forgive: assign({ attempts: 0 }),
    blame: assign((_, { cause }: { cause: AppContext["cause"] }) => ({ cause })),
    askTurn: emit(({ context }): AppCommand => ({ type: "askTurn", repeat: context.attempts > 0 })),
    endTurn: emit({ type: "endTurn" } as const),
  },
}).createMachine({
  id: "app",
  context: ({ input }) => freshApp(input.app, input.limitsMs),
  initial: "asleep",
  on: {
    desired: [
      { guard: "isRepeated", actions: "acceptAgain" },
      { guard: "isNewer", actions: "accept" },
    ],
    missing: [
      { guard: "wasCleared", actions: "drop" },
      { guard: "isStranger", actions: "unlist" },
    ],
    done: { actions: "doubt" },
    halt: { actions: "beginHalt" },
  },
  states: {
    asleep: {
      description: "The instance has started, and first reads what is asked.",
      on: {
        resume: [
          { guard: "diedInCall", target: "queueing", actions: "noteDeath" },
          { target: "resting", actions: "wake" },
        ],
      },
    },
    resting: {
      description: "It is what is asked, or nothing is asked.",
      always: [
        { guard: "isOver", target: "over" },
        { guard: "hasWork", target: "queueing" },
      ],
      after: { sustained: { actions: "forgive" } },
      on: { ended: { guard: "isRunning", actions: "noteEnd" } },
    },
    queueing: {
      description: "Something is to be done, and waits for its turn.",
      entry: "askTurn",
      always: { guard: "isIdle", target: "resting", actions: "endTurn" },
      on: { turn: "working", ended: { guard: "isRunning", actions: "noteEnd" } },
    },
    working: {
      description: "It is brought to what is asked.",
      initial: "choosing",
      on: {
        desired: [
          { guard: "isRepeated", actions: "acceptAgain" },
          { guard: "overtakes", actions: ["accept", "cancel"] },
          { guard: "isNewer", actions: "accept" },
        ],
      },
      states: {
        choosing: {
          description: "The next call of the engine is chosen.",
          always: [
            { guard: "mustCleanUp", target: "disabling" },
            { guard: "hasFailedAtTheEnd", target: "#app.over", actions: "endTurn" },
            { guard: "hasFailedForGood", target: "#app.stopped", actions: "endTurn" },
            { guard: "hasFailed", target: "#app.backoff", actions: "endTurn" },
            { guard: nextIs("install"), target: "installing" },
            { guard: nextIs("initialize"), target: "initializing" },
            { guard: nextIs("enable"), target: "enabling" },
            { guard: nextIs("disable"), target: "disabling" },
            { guard: nextIs("uninstall"), target: "uninstalling" },
            { target: "#app.resting", actions: "endTurn" },
          ],
        },
        installing: calling("install", "Its version is brought to this instance."),
        initializing: calling("initialize", "It is loaded with its settings."),
        enabling: calling("enable", "It is switched on."),
        disabling: calling("disable", "Whatever of it runs is ended."),
        uninstalling: calling("uninstall", "What is left of it is removed."),
      },
    },
    backoff: {
      description: "It has failed, and is tried again after a wait.",
      entry: "settle",
      always: [
        { guard: "isForgiven", target: "queueing" },
        { guard: "isHalting", target: "queueing" },
      ],
      after: { backoff: { target: "queueing", actions: { type: "blame", params: { cause: "retried" } } } },
      on: {
        retry: { target: "queueing", actions: { type: "blame", params: { cause: "asked" } } },
        done: { target: "queueing", actions: ["doubt", "failAgain"] },
      },
    },
    stopped: {
      description: "It has failed for a cause that only a change of it, or somebody who asks, can take away.",
      entry: "settle",
      always: [
        { guard: "isForgiven", target: "queueing" },
        { guard: "isHalting", target: "queueing" },
      ],
      on: {
        retry: { target: "queueing", actions: { type: "blame", params: { cause: "asked" } } },
        done: { target: "queueing", actions: ["doubt", "failAgain"] },
      },
    },
    over: {
      description: "Nothing of it is left to look after.",
      type: "final",
    },
  },
});
