import { type AnyStateMachine, assign, cancel, emit, raise, setup } from "xstate";

type Emitted = { type: "did"; what: string };

/** Nested states, both kinds of history, delayed transitions that race each other. */
const player = setup({
  types: {} as {
    context: { tracks: number };
    events: { type: "PLAY" | "STOP" | "PAUSE" | "SKIP" | "EJECT" | "INSERT" };
    emitted: Emitted;
  },
  actions: { count: assign({ tracks: ({ context }) => context.tracks + 1 }) },
}).createMachine({
  id: "player",
  context: { tracks: 0 },
  initial: "empty",
  states: {
    empty: { on: { INSERT: "loaded" } },
    loaded: {
      initial: "stopped",
      on: { EJECT: "ejecting" },
      states: {
        stopped: { on: { PLAY: "playing" }, after: { 700: "asleep" } },
        asleep: { on: { PLAY: "playing" }, entry: emit({ type: "did", what: "slept" }) },
        playing: {
          initial: "intro",
          entry: "count",
          on: { STOP: "stopped", SKIP: { target: "playing", reenter: true } },
          states: {
            intro: { after: { 100: "body" }, on: { PAUSE: "paused" } },
            body: { after: { 300: "outro" }, on: { PAUSE: "paused" } },
            outro: {
              after: {
                100: { target: "#player.loaded.stopped", actions: emit({ type: "did", what: "played" }) },
              },
            },
            paused: { on: { PLAY: "before" } },
            before: { type: "history" },
          },
        },
        where: { type: "history", history: "deep" },
      },
    },
    ejecting: { after: { 150: "empty" }, on: { INSERT: "loaded.where" } },
  },
});

/** Parallel regions that hear each other, guards, `always`, and delayed events with ids of their own. */
const workshop = setup({
  types: {} as {
    context: { tries: number; done: number };
    events: { type: "START" | "FAIL" | "FINISH" | "POWER_OFF" | "POWER_ON" | "NUDGE" };
    emitted: Emitted;
  },
  guards: {
    mayTryAgain: ({ context }) => context.tries < 3,
    tired: ({ context }) => context.done >= 4,
  },
  delays: { backoff: ({ context }) => 50 * 2 ** context.tries },
  actions: {
    tried: assign({ tries: ({ context }) => context.tries + 1 }),
    finished: assign({ tries: 0, done: ({ context }) => context.done + 1 }),
  },
}).createMachine({
  id: "workshop",
  type: "parallel",
  context: { tries: 0, done: 0 },
  states: {
    power: {
      initial: "on",
      states: {
        on: { on: { POWER_OFF: "off" } },
        off: {
          on: { POWER_ON: "on" },
          after: { 400: { target: "on", actions: emit({ type: "did", what: "power came back" }) } },
        },
      },
    },
    job: {
      initial: "idle",
      states: {
        idle: { on: { START: "working" }, always: { guard: "tired", target: "home" } },
        working: {
          entry: raise({ type: "FINISH" }, { delay: 200, id: "finish" }),
          exit: cancel("finish"),
          on: {
            FINISH: {
              target: "idle",
              actions: ["finished", emit(({ context }) => ({ type: "did", what: `job ${context.done}` }))],
            },
            FAIL: [{ guard: "mayTryAgain", target: "waiting", actions: "tried" }, { target: "broken" }],
            POWER_OFF: "waiting",
          },
        },
        waiting: { after: { backoff: "working" }, on: { NUDGE: { target: "waiting", reenter: true } } },
        broken: {
          entry: emit({ type: "did", what: "broke" }),
          on: { START: { target: "working", actions: assign({ tries: 0 }) } },
        },
        home: { type: "final" },
      },
    },
  },
});

/** A final state, raised events, and a delay of zero. */
const door = setup({
  types: {} as {
    context: { wrong: number; code: string };
    events: { type: "CODE"; code: string } | { type: "OPEN" | "CLOSE" | "KICK" | "ALARM" };
    emitted: Emitted;
    input: { code: string };
  },
  guards: { right: ({ context, event }) => event.type === "CODE" && event.code === context.code },
}).createMachine({
  id: "door",
  context: ({ input }) => ({ wrong: 0, code: input.code }),
  initial: "locked",
  on: { ALARM: ".alarm" },
  states: {
    locked: {
      on: {
        CODE: [
          { guard: "right", target: "unlocked" },
          { actions: assign({ wrong: ({ context }) => context.wrong + 1 }), target: "wrong" },
        ],
        KICK: { actions: raise({ type: "ALARM" }) },
      },
    },
    wrong: {
      after: { 0: "locked" },
      always: {
        guard: ({ context }) => context.wrong >= 5,
        actions: raise({ type: "ALARM" }),
        target: "locked",
      },
    },
    unlocked: { entry: assign({ wrong: 0 }), after: { 250: "locked" }, on: { OPEN: "open" } },
    open: {
      on: { CLOSE: "locked" },
      after: { 500: { actions: emit({ type: "did", what: "beep" }), target: "open", reenter: true } },
    },
    alarm: {
      entry: emit({ type: "did", what: "alarm" }),
      after: { 900: "broken" },
      on: { CODE: { guard: "right", target: "locked" } },
    },
    broken: { type: "final" },
  },
});

/** A machine, what it starts from and the events that it knows, for random logs. */
export interface Sample {
  readonly machine: AnyStateMachine;
  readonly input?: unknown;
  readonly events: readonly { readonly type: string }[];
}

export const samples: readonly Sample[] = [
  { machine: player, events: ["PLAY", "STOP", "PAUSE", "SKIP", "EJECT", "INSERT"].map((type) => ({ type })) },
  {
    machine: workshop,
    events: ["START", "FAIL", "FINISH", "POWER_OFF", "POWER_ON", "NUDGE"].map((type) => ({ type })),
  },
  {
    machine: door,
    input: { code: "1234" },
    events: [
      { type: "CODE", code: "1234" },
      { type: "CODE", code: "0000" },
      ...["OPEN", "CLOSE", "KICK"].map((type) => ({ type })),
    ] as Sample["events"],
  },
];
