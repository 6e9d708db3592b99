import { assign, emit, setup } from "xstate";
import { durationText } from "../src/contracts/duration.js";
import type { Finding, OutcomeOfItem } from "../src/contracts/inventory.js";

/*
 * The upkeep of one agent's host: it looks whether links, routes, files, folders and processes are as the agent's own
 * records say, and puts right what it may, one thing after the other. Driven by the time, by a start of the agent, and by
 * its leader, who may allow one thing more at a time. It decides when it looks, what is done next and what came of it;
 * it needs no leader and no connection.
 */

export interface UpkeepContext {
  readonly everyMs: number;
  /** Drawn by the host: agents that started together drift apart. */
  readonly unit: number;
  /** Counts the looks: what is told of an earlier one is old news. */
  readonly round: number;
  /** The one thing that a leader asked for; `null` in a look of its own. */
  readonly asked: string | null;
  readonly todo: readonly Finding[];
  /** Things put right, and things that could not be, since the start. */
  readonly mended: number;
  readonly failed: number;
}

export type UpkeepEvent =
  | { readonly type: "look" }
  /** A leader asks for one thing, by its key. */
  | { readonly type: "ask"; readonly key: string }
  | {
      readonly type: "surveyed";
      readonly round: number;
      readonly findings: readonly Finding[];
      readonly unit: number;
    }
  | { readonly type: "surveyFailed"; readonly round: number; readonly problem: string }
  | {
      readonly type: "mended";
      readonly key: string;
      readonly outcome: OutcomeOfItem;
      readonly why: string;
    };

export type UpkeepCommand =
  | { readonly type: "survey"; readonly round: number }
  | { readonly type: "mend"; readonly finding: Finding }
  /** What became of the thing that a leader asked for. */
  | {
      readonly type: "answer";
      readonly key: string;
      readonly outcome: OutcomeOfItem;
      readonly why: string;
    };

/** A look or a repair that takes longer is given up; the next look sees what came of it. */
export const upkeepStepMaxMs = 120_000;

function answer(key: string, outcome: OutcomeOfItem, why: string): UpkeepCommand {
  return { type: "answer", key, outcome, why };
}

export const upkeepMachine = setup({
  types: {
    context: {} as UpkeepContext,
    events: {} as UpkeepEvent,
    emitted: {} as UpkeepCommand,
    input: {} as { readonly everyMs: number; readonly unit: number },
  },
  delays: {
    nextLook: ({ context }) => context.everyMs * (0.9 + 0.2 * context.unit),
    tooLong: upkeepStepMaxMs,
  },
  guards: {
    isThisRound: ({ context, event }) => "round" in event && event.round === context.round,
    isAskedInVain: ({ context, event }) =>
      event.type === "surveyed" &&
      event.round === context.round &&
      context.asked !== null &&
      !event.findings.some(({ key, verdict }) => key === context.asked && verdict !== "keep"),
    isThisThing: ({ context, event }) => event.type === "mended" && event.key === context.todo[0]?.key,
    isThisThingAsked: ({ context, event }) =>
      event.type === "mended" && event.key === context.todo[0]?.key && context.asked !== null,
    isAskedRound: ({ context, event }) =>
      "round" in event && event.round === context.round && context.asked !== null,
    isAsked: ({ context }) => context.asked !== null,
    nothingLeft: ({ context }) => context.todo.length === 0,
  },
  actions: {
    beginOwn: assign(({ context }) => ({ round: context.round + 1, asked: null })),
    beginAsked: assign(({ context, event }) => ({
      round: context.round + 1,
      asked: event.type === "ask" ? event.key : null,
    })),
    survey: emit(({ context }): UpkeepCommand => ({ type: "survey", round: context.round })),
    choose: assign(({ context, event }) => {
      if (event.type !== "surveyed") return {};
      const { findings, unit } = event;
      const todo = findings.filter(({ key, verdict }) =>
        context.asked === null ? verdict === "mend" : key === context.asked && verdict !== "keep",
      );
      return { todo, unit };
    }),
    mend: emit(({ context }): UpkeepCommand => {
      const finding = context.todo[0];
      if (finding === undefined) throw new Error("only what was found is put right");
      return { type: "mend", finding };
    }),
    count: assign(({ context, event }) => {
      if (event.type !== "mended") return {};
      const { mended, failed, todo } = context;
      return {
        todo: todo.slice(1),
        mended: mended + (event.outcome === "done" ? 1 : 0),
        failed: failed + (event.outcome === "failed" ? 1 : 0),
      };
    }),
    giveUp: assign(({ context }) => ({ todo: context.todo.slice(1), failed: context.failed + 1 })),
    answerMended: emit(
      ({ context, event }): UpkeepCommand =>
        event.type === "mended"
          ? answer(event.key, event.outcome, event.why)
          : answer(context.asked ?? "", "failed", `it took longer than ${durationText(upkeepStepMaxMs)}`),
    ),
    answerGone: emit(
      ({ context }): UpkeepCommand =>
        answer(context.asked ?? "", "gone", "it is not there any more, or is needed again"),
    ),
    answerFailed: emit(
      ({ context, event }): UpkeepCommand =>
        answer(
          context.asked ?? "",
          "failed",
          event.type === "surveyFailed"
            ? event.problem
            : `the look took longer than ${durationText(upkeepStepMaxMs)}`,
        ),
    ),
    answerBusy: emit(
      ({ event }): UpkeepCommand =>
        answer(
          event.type === "ask" ? event.key : "",
          "left",
          "the agent is at its own upkeep; the next run sees what it left",
        ),
    ),
  },
}).createMachine({
  id: "upkeep",
  context: ({ input }) => ({ ...input, round: 0, asked: null, todo: [], mended: 0, failed: 0 }),
  initial: "resting",
  states: {
    resting: {
      description: "Nothing is done until the next look.",
      after: { nextLook: { target: "looking", actions: "beginOwn" } },
      on: {
        look: { target: "looking", actions: "beginOwn" },
        ask: { target: "looking", actions: "beginAsked" },
      },
    },
    looking: {
      description: "The host is looked through.",
      entry: "survey",
      after: {
        tooLong: [{ guard: "isAsked", target: "resting", actions: "answerFailed" }, { target: "resting" }],
      },
      on: {
        surveyed: [
          { guard: "isAskedInVain", target: "resting", actions: "answerGone" },
          { guard: "isThisRound", target: "mending", actions: "choose" },
        ],
        surveyFailed: [
          { guard: "isAskedRound", target: "resting", actions: "answerFailed" },
          { guard: "isThisRound", target: "resting" },
        ],
        ask: { actions: "answerBusy" },
      },
    },
    mending: {
      description: "One thing is put right.",
      initial: "next",
      on: { ask: { actions: "answerBusy" } },
      states: {
        next: {
          description: "The next thing is taken.",
          always: [{ guard: "nothingLeft", target: "#upkeep.resting" }, { target: "working" }],
        },
        working: {
          description: "It is under way.",
          entry: "mend",
          after: {
            tooLong: [
              { guard: "isAsked", target: "next", actions: ["answerMended", "giveUp"] },
              { target: "next", actions: "giveUp" },
            ],
          },
          on: {
            mended: [
              { guard: "isThisThingAsked", target: "next", actions: ["answerMended", "count"] },
              { guard: "isThisThing", target: "next", actions: "count" },
            ],
          },
        },
      },
    },
  },
});
