import { assign, emit, enqueueActions, raise, setup } from "xstate";

export type CounterEvent =
  | { type: "ADD"; by?: number }
  | { type: "SAY"; what: string }
  | { type: "BOOM" | "LOOP" | "END" | "NO_ID" }
  | { type: "ARM"; id: string; delayMs: number }
  | { type: "RANG" };

export type CounterCommand = { type: "said"; what: string };

/** Counts, says, waits, and breaks in all the ways in which a machine can. */
export const counterMachine = setup({
  types: {} as {
    context: { count: number; rang: number };
    events: CounterEvent;
    emitted: CounterCommand;
    input: { count: number } | undefined;
  },
  actions: {
    boom: () => {
      throw new Error("boom");
    },
  },
}).createMachine({
  id: "counter",
  context: ({ input }) => ({ count: input?.count ?? 0, rang: 0 }),
  initial: "counting",
  entry: emit({ type: "said", what: "hello" }),
  on: {
    ADD: {
      actions: assign({
        count: ({ context, event }) => context.count + (event.by ?? 1),
      }),
    },
    SAY: {
      actions: emit(({ event }) => ({ type: "said" as const, what: event.what })),
    },
    BOOM: { actions: [emit({ type: "said", what: "never" }), "boom"] },
    LOOP: ".dizzy",
    END: ".ended",
    NO_ID: { actions: raise({ type: "RANG" }, { delay: 10 }) },
    ARM: {
      actions: enqueueActions(({ event, enqueue }) => {
        enqueue.raise({ type: "RANG" }, { id: event.id, delay: event.delayMs });
      }),
    },
    RANG: { actions: assign({ rang: ({ context }) => context.rang + 1 }) },
  },
  states: {
    counting: {},
    dizzy: { always: "giddy" },
    giddy: { always: "dizzy" },
    ended: { type: "final" },
  },
});
