import { assign, emit, setup } from "xstate";
import type { OutcomeOfItem } from "../src/contracts/inventory.js";
import { type FleetFacts, planReconciliation, type ReconcileItem } from "./reconciliation-plan.js";

/*
 * The reconciliations of one leader: the facts are gathered, what follows is planned (reconciliation-plan.ts), and done one
 * thing after the other. Driven by the time and by people who ask for one. It decides when one begins, what comes next, and that
 * nothing more is done once the leadership is lost: what was begun is the last.
 */

/** Who wants a reconciliation, and whether it is only to be said what would be done. */
export interface Wish {
  readonly dryRun: boolean;
  readonly by: string;
  readonly reason: string | null;
}

export interface Treated {
  readonly item: ReconcileItem;
  readonly outcome: OutcomeOfItem | "planned";
  readonly why: string;
}

export interface ReconciliationContext {
  readonly everyMs: number;
  /** Drawn by the host. */
  readonly unit: number;
  /** Counts the reconciliations: what comes of an earlier one is old news. */
  readonly run: number;
  readonly wish: Wish;
  readonly todo: readonly ReconcileItem[];
  readonly treated: readonly Treated[];
}

export type ReconciliationEvent =
  | { readonly type: "reconcile"; readonly wish: Wish }
  | { readonly type: "gathered"; readonly run: number; readonly facts: FleetFacts }
  | { readonly type: "gatheringFailed"; readonly run: number; readonly problem: string }
  | {
      readonly type: "treated";
      readonly run: number;
      readonly outcome: OutcomeOfItem;
      readonly why: string;
    }
  /** The leadership is over. */
  | { readonly type: "lost" };

export type ReconciliationCommand =
  | { readonly type: "gather"; readonly run: number; readonly wish: Wish }
  | { readonly type: "treat"; readonly run: number; readonly item: ReconcileItem }
  | { readonly type: "report"; readonly treated: readonly Treated[] }
  | { readonly type: "giveUp"; readonly problem: string }
  /** The leadership was lost in the middle. */
  | { readonly type: "interrupted"; readonly treated: readonly Treated[] };

/** Gathering and each thing have time limits of their own, in the host; this is for what has none. */
export const reconciliationStepMaxMs = 600_000;

const byItself: Wish = { dryRun: false, by: "rollcall", reason: null };

function leftAlone(items: readonly ReconcileItem[]): Treated[] {
  return items
    .filter(({ action }) => action === null)
    .map((item) => ({ item, outcome: "left", why: item.why }));
}

export const reconciliationMachine = setup({
  types: {
    context: {} as ReconciliationContext,
    events: {} as ReconciliationEvent,
    emitted: {} as ReconciliationCommand,
    input: {} as { readonly everyMs: number; readonly unit: number },
  },
  delays: {
    /** The first sooner: leaders may change more often than this. */
    next: ({ context: { everyMs, unit, run } }) => (run === 0 ? 0.1 : 1) * everyMs * (0.9 + 0.2 * unit),
    tooLong: reconciliationStepMaxMs,
  },
  guards: {
    isThisRun: ({ context, event }) => "run" in event && event.run === context.run,
    nothingLeft: ({ context }) => context.todo.length === 0,
  },
  actions: {
    begin: assign(({ context, event }) => ({
      run: context.run + 1,
      wish: event.type === "reconcile" ? event.wish : byItself,
      todo: [],
      treated: [],
    })),
    gather: emit(({ context: { run, wish } }): ReconciliationCommand => ({ type: "gather", run, wish })),
    plan: assign(({ context, event }) => {
      if (event.type !== "gathered") return {};
      const items = planReconciliation(event.facts);
      const todo = items.filter(({ action }) => action !== null);
      if (!context.wish.dryRun) return { todo, treated: leftAlone(items) };
      const planned = todo.map((item): Treated => ({ item, outcome: "planned", why: item.why }));
      return { todo: [], treated: [...planned, ...leftAlone(items)] };
    }),
    treat: emit(({ context }): ReconciliationCommand => {
      const item = context.todo[0];
      if (item === undefined) throw new Error("only what was planned is done");
      return { type: "treat", run: context.run, item };
    }),
    take: assign(({ context, event }) => {
      const [item, ...todo] = context.todo;
      if (item === undefined) return {};
      const { outcome, why } =
        event.type === "treated"
          ? event
          : { outcome: "failed" as const, why: "it took too long; the next run sees what came of it" };
      return { todo, treated: [...context.treated, { item, outcome, why }] };
    }),
    report: emit(({ context: { treated } }): ReconciliationCommand => ({ type: "report", treated })),
    giveUp: emit(({ event }): ReconciliationCommand => {
      const problem = event.type === "gatheringFailed" ? event.problem : "the facts took too long to gather";
      return { type: "giveUp", problem };
    }),
    interrupt: emit(({ context: { treated } }): ReconciliationCommand => ({ type: "interrupted", treated })),
  },
}).createMachine({
  id: "reconciliation",
  context: ({ input }) => ({ ...input, run: 0, wish: byItself, todo: [], treated: [] }),
  initial: "resting",
  states: {
    resting: {
      description: "Nothing is under way until the next one is due.",
      after: { next: { target: "gathering", actions: "begin" } },
      on: { reconcile: { target: "gathering", actions: "begin" }, lost: "over" },
    },
    gathering: {
      description: "Records are read, and agents are asked what lies on their hosts.",
      entry: "gather",
      after: { tooLong: { target: "resting", actions: "giveUp" } },
      on: {
        gathered: { guard: "isThisRun", target: "treating", actions: "plan" },
        gatheringFailed: { guard: "isThisRun", target: "resting", actions: "giveUp" },
        lost: { target: "over", actions: "interrupt" },
      },
    },
    treating: {
      description: "What was found is treated, one thing after the other.",
      initial: "next",
      on: { lost: { target: "over", actions: "interrupt" } },
      states: {
        next: {
          description: "The next thing is taken.",
          always: [
            { guard: "nothingLeft", target: "#reconciliation.resting", actions: "report" },
            { target: "working" },
          ],
        },
        working: {
          description: "It is under way.",
          entry: "treat",
          after: { tooLong: { target: "next", actions: "take" } },
          on: { treated: { guard: "isThisRun", target: "next", actions: "take" } },
        },
      },
    },
    over: {
      description: "The leadership is over; nothing more is done.",
      type: "final",
    },
  },
});
