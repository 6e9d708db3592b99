import { assign, emit, setup } from "xstate";

/*
 * One control-plane process: whether it leads its fleet. Driven by the answers of the ledger and by its own
 * clock. It decides when to stand for leadership, when to renew the lease, and when it must stop acting: well
 * before the lease can have ended, whatever it has heard. What it knew is dropped with the leadership and
 * read anew with the next one; the ledger refuses the writes of a leader that does not know yet that it is none.
 */

export interface CoordinatorContext {
  readonly leaseMs: number;
  /** How long it could act when the lease was last answered for, counted from before that was asked. */
  readonly validForMs: number;
  readonly epoch: number | null;
  /** Who leads, as far as this one knows. */
  readonly leader: string | null;
  readonly problem: string | null;
}

export type CoordinatorEvent =
  | { readonly type: "acquired"; readonly epoch: number; readonly validForMs: number }
  | { readonly type: "heldBy"; readonly leader: string; readonly epoch: number }
  | { readonly type: "unavailable"; readonly problem: string }
  /** What the ledger holds is not for this version; somebody else may lead. */
  | {
      readonly type: "unfit";
      readonly problem: string;
      readonly leader: string | null;
      readonly epoch: number | null;
    }
  /** Whoever held the lease has given it back. */
  | { readonly type: "leaseFree" }
  | { readonly type: "loaded" }
  | { readonly type: "renewed"; readonly validForMs: number }
  | { readonly type: "renewFailed"; readonly problem: string }
  | { readonly type: "deposed" }
  /** A write was refused or its fate is unknown: what is in memory may differ from the ledger. */
  | { readonly type: "writeFailed"; readonly problem: string }
  | { readonly type: "resigned" }
  | { readonly type: "stop" };

export type CoordinatorCommand =
  | { readonly type: "acquire" }
  | { readonly type: "load" }
  /** Hear reports, answer requests, roll out. */
  | { readonly type: "lead" }
  | { readonly type: "renew" }
  /** Forget everything that was known by leading. */
  | { readonly type: "drop" }
  /** Durable: that it gives the lead up by itself, in order. */
  | { readonly type: "handOver" }
  | { readonly type: "resign" };

export const coordinatorMachine = setup({
  types: {
    context: {} as CoordinatorContext,
    events: {} as CoordinatorEvent,
    emitted: {} as CoordinatorCommand,
    input: {} as { readonly leaseMs: number },
  },
  delays: {
    /** A follower looks for a free lease this often. */
    lookAgain: ({ context }) => Math.max(100, context.leaseMs / 12),
    renewAfter: ({ context }) => context.leaseMs / 4,
    retryAfter: ({ context }) => Math.max(50, context.leaseMs / 12),
    /** From the first try of a renewal, before which a quarter of the lease has passed since the last answer. */
    leaseRest: ({ context }) => Math.max(0, context.validForMs - context.leaseMs / 4),
  },
  guards: {
    /** It was another's lease; with its own it waits, lest a broken leader takes it again and again. */
    followsAnother: ({ context }) => context.leader !== null,
  },
  actions: {
    acquire: emit({ type: "acquire" }),
    load: emit({ type: "load" }),
    lead: emit({ type: "lead" }),
    renew: emit({ type: "renew" }),
    drop: emit({ type: "drop" }),
    handOver: emit({ type: "handOver" }),
    resign: emit({ type: "resign" }),
    noteEpoch: assign(({ event }) =>
      event.type === "acquired"
        ? { epoch: event.epoch, validForMs: event.validForMs, leader: null, problem: null }
        : {},
    ),
    noteRenewal: assign(({ event }) =>
      event.type === "renewed" ? { validForMs: event.validForMs, problem: null } : {},
    ),
    noteLeader: assign(({ event }) =>
      event.type === "heldBy" ? { leader: event.leader, epoch: event.epoch, problem: null } : {},
    ),
    noteUnfit: assign(({ event }) =>
      event.type === "unfit" ? { leader: event.leader, epoch: event.epoch, problem: event.problem } : {},
    ),
    noteProblem: assign(({ event }) => ("problem" in event ? { problem: event.problem } : {})),
  },
}).createMachine({
  id: "coordinator",
  context: ({ input }) => ({
    leaseMs: input.leaseMs,
    validForMs: 0,
    epoch: null,
    leader: null,
    problem: null,
  }),
  initial: "campaigning",
  states: {
    following: {
      description:
        "Another coordinator leads, or this one cannot: the ledger is out of reach, or not for its version.",
      after: { lookAgain: "campaigning" },
      on: { leaseFree: { guard: "followsAnother", target: "campaigning" }, stop: "stopped" },
    },
    campaigning: {
      description: "It asks for the lease.",
      entry: "acquire",
      on: {
        acquired: { target: "loading", actions: "noteEpoch" },
        heldBy: { target: "following", actions: "noteLeader" },
        unavailable: { target: "following", actions: "noteProblem" },
        unfit: { target: "following", actions: "noteUnfit" },
        stop: "resigning",
      },
    },
    loading: {
      description: "It holds the lease and reads the fleet's records.",
      entry: "load",
      initial: "steady",
      states: {
        steady: { description: "The lease is fresh.", after: { renewAfter: "renewing" } },
        renewing: {
          description: "The lease is being renewed.",
          entry: "renew",
          after: { leaseRest: "#coordinator.steppingDown" },
          on: { renewed: { target: "steady", actions: "noteRenewal" } },
        },
      },
      on: {
        loaded: "leading",
        unavailable: { target: "steppingDown", actions: "noteProblem" },
        renewFailed: { target: "steppingDown", actions: "noteProblem" },
        deposed: "steppingDown",
        stop: "resigning",
      },
    },
    leading: {
      description: "It leads the fleet.",
      entry: "lead",
      exit: "drop",
      initial: "renewing",
      states: {
        steady: { description: "The lease is fresh.", after: { renewAfter: "renewing" } },
        renewing: {
          description: "The lease is being renewed.",
          after: { leaseRest: "#coordinator.steppingDown" },
          on: { renewed: { target: "steady", actions: "noteRenewal" } },
          initial: "asking",
          states: {
            asking: {
              description: "The ledger is asked to renew it.",
              entry: "renew",
              on: { renewFailed: { target: "waiting", actions: "noteProblem" } },
            },
            waiting: {
              description: "The last try has failed; the next one follows.",
              after: { retryAfter: "asking" },
            },
          },
        },
      },
      on: {
        deposed: "steppingDown",
        writeFailed: { target: "steppingDown", actions: "noteProblem" },
        stop: { target: "resigning", actions: "handOver" },
      },
    },
    steppingDown: {
      description: "It leads no more, and gives back what may be left of its lease.",
      entry: "resign",
      on: { resigned: "following", stop: "resigning" },
    },
    resigning: {
      description: "It is being stopped and hands over.",
      entry: "resign",
      on: { resigned: "stopped", acquired: { actions: "resign" } },
    },
    stopped: { description: "It takes no part any more.", type: "final" },
  },
});
