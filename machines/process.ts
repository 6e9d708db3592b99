import { assign, emit, setup } from "xstate";
import type { Config, Release } from "../src/contracts/release.js";
import { backoffMs, restartBackoff } from "./backoff.js";

/*
 * One process of an instance: from its start to its end, restarts included. An instance has two slots, so that
 * a new version can start beside the old one. Driven by its instance, which says what should run in the slot (`run`) or
 * that nothing should (`halt`), and by what becomes of the process. It decides when to start again, after which
 * wait, and when to give up. Both requests are levels: asked twice, they do nothing and are answered again.
 * Its record, with the identity of the process, is written before anybody hears that it is up.
 */

/** What runs, or should: a version as it was asked for, on a port. */
export interface Launch {
  readonly ledgerId: string;
  /** Of the desired state that asked for it first. */
  readonly generation: number;
  readonly release: Release;
  readonly config: Config | null;
  readonly port: number;
}

/** What a process is known by; a bare number may belong to another one tomorrow. */
export interface Identity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
}

/** A failure as a code with its facts; whoever shows it makes the sentence. */
export interface Fault {
  readonly code: string;
  /** The sentence, where it is known already. */
  readonly message?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface StopRule {
  readonly signal: string;
  readonly graceMs: number;
}

export type ProcessStatus = "gone" | "starting" | "up" | "restarting" | "stopping" | "failed";

export interface ProcessContext {
  readonly instance: string;
  readonly slot: string;
  /** The newest request; what is told carries it, so that the instance knows which one it answers. */
  readonly order: number;
  /** What should run; `null` for nothing. */
  readonly wanted: Launch | null;
  /** What runs, is started or was. */
  readonly launch: Launch | null;
  readonly identity: Identity | null;
  /** Counts the starts in this life of the agent, so that what becomes of an earlier one is told apart. */
  readonly run: number;
  /** Restarts since it was asked for. */
  readonly restarts: number;
  /** Restarts in a row, none of which stayed up. */
  readonly streak: number;
  /** What the next wait is multiplied by, drawn by the host. */
  readonly unit: number;
  /** Why it ended last. */
  readonly fault: Fault | null;
}

export type ProcessEvent =
  | { readonly type: "run"; readonly order: number; readonly launch: Launch }
  | { readonly type: "halt"; readonly order: number }
  /** The agent has started again: whether the process that the record names still runs. */
  | { readonly type: "restored"; readonly alive: boolean }
  | { readonly type: "spawned"; readonly run: number; readonly identity: Identity }
  | { readonly type: "spawnFailed"; readonly run: number; readonly fault: Fault; readonly unit: number }
  | {
      readonly type: "exited";
      readonly run: number;
      readonly how: string;
      readonly output: string;
      readonly unit: number;
    }
  | { readonly type: "killed"; readonly run: number }
  | { readonly type: "killFailed"; readonly run: number };

export type ProcessCommand =
  | { readonly type: "spawn"; readonly run: number; readonly launch: Launch }
  /** Asks to hear of its end. */
  | { readonly type: "watch"; readonly run: number; readonly identity: Identity }
  /** Ends the whole group. */
  | { readonly type: "kill"; readonly run: number; readonly identity: Identity; readonly stop: StopRule }
  /** Tells the instance how it stands. */
  | {
      readonly type: "tell";
      readonly order: number;
      readonly status: ProcessStatus;
      readonly launch: Launch | null;
      readonly pid: number | null;
      readonly restarts: number;
      readonly fault: Fault | null;
    };

/** Up for so long, it is taken to work: earlier restarts are forgiven. */
export const sustainedMs = 60_000;
/** Before the end of a process is tried again. */
const killAgainMs = 1_000;

export function sameLaunch(one: Launch | null, other: Launch | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.ledgerId === other.ledgerId &&
    one.generation === other.generation &&
    one.release.version === other.release.version &&
    one.config?.version === other.config?.version &&
    one.port === other.port
  );
}

/** Why it ended, with what it was restarted until then. */
function exitFault(context: ProcessContext, how: string, output: string): Fault {
  const version = context.launch?.release.version;
  return { code: "PROCESS_EXITED", details: { version, how, restarts: context.restarts, output } };
}

const tell = (status: ProcessStatus) => ({ type: "tell", params: { status } }) as const;

export const processMachine = setup({
  types: {
    context: {} as ProcessContext,
    events: {} as ProcessEvent,
    emitted: {} as ProcessCommand,
    input: {} as { readonly instance: string; readonly slot: string },
  },
  delays: {
    backoff: ({ context }) => backoffMs(restartBackoff, context.streak, context.unit),
    sustained: sustainedMs,
    killAgain: killAgainMs,
  },
  guards: {
    wantsRun: ({ context }) => context.wanted !== null,
    /** Something else than what is here, or nothing at all. */
    wantsOther: ({ context }) => !sameLaunch(context.wanted, context.launch),
    isThisRun: ({ context, event }) => "run" in event && event.run === context.run,
    /** What could not be started is not wanted any more. */
    isUnwanted: ({ context, event }) =>
      event.type === "spawnFailed" &&
      event.run === context.run &&
      !sameLaunch(context.wanted, context.launch),
    mayRestart: ({ context, event }) =>
      "run" in event &&
      event.run === context.run &&
      context.streak < (context.launch?.release.manifest.restarts ?? 0),
    isAlive: ({ event }) => event.type === "restored" && event.alive,
  },
  actions: {
    want: assign(({ event }) => {
      if (event.type === "run") return { order: event.order, wanted: event.launch };
      return event.type === "halt" ? { order: event.order, wanted: null } : {};
    }),
    /** The first start of something else than before. */
    takeOver: assign(({ context }) => ({ launch: context.wanted, restarts: 0, streak: 0, fault: null })),
    nextRun: assign(({ context }) => ({ run: context.run + 1, identity: null })),
    spawn: emit(({ context }): ProcessCommand => {
      if (context.launch === null) throw new Error("a process is started only when something is wanted");
      return { type: "spawn", run: context.run, launch: context.launch };
    }),
    identify: assign(({ event }) => (event.type === "spawned" ? { identity: event.identity } : {})),
    watch: emit(({ context }): ProcessCommand => {
      if (context.identity === null) throw new Error("only a process with an identity is watched");
      return { type: "watch", run: context.run, identity: context.identity };
    }),
    kill: emit(({ context }): ProcessCommand => {
      if (context.identity === null || context.launch === null)
        throw new Error("only a process that runs is ended");
      return {
        type: "kill",
        run: context.run,
        identity: context.identity,
        stop: context.launch.release.manifest.stop,
      };
    }),
    countRestart: assign(({ context }) => ({ restarts: context.restarts + 1, streak: context.streak + 1 })),
    rememberEnd: assign(({ context, event }) => {
      if (event.type === "spawnFailed") return { identity: null, fault: event.fault, unit: event.unit };
      if (event.type === "exited")
        return { identity: null, fault: exitFault(context, event.how, event.output), unit: event.unit };
      return {};
    }),
    forgetIdentity: assign({ identity: null }),
    forgive: assign({ streak: 0, fault: null }),
    tell: emit(
      ({ context }, { status }: { status: ProcessStatus }): ProcessCommand => ({
        type: "tell",
        order: context.order,
        status,
        launch: status === "gone" ? null : context.launch,
        pid: context.identity?.pid ?? null,
        restarts: context.restarts,
        fault: context.fault,
      }),
    ),
  },
}).createMachine({
  id: "process",
  context: ({ input }) => ({
    ...input,
    order: 0,
    wanted: null,
    launch: null,
    identity: null,
    run: 0,
    restarts: 0,
    streak: 0,
    unit: 0,
    fault: null,
  }),
  initial: "stopped",
  on: { run: { actions: "want" }, halt: { actions: "want" } },
  states: {
    stopped: {
      description: "Nothing runs in this slot.",
      always: { guard: "wantsRun", target: "starting", actions: "takeOver" },
      on: { halt: { actions: ["want", tell("gone")] }, restored: { actions: tell("gone") } },
    },
    starting: {
      description: "The process is being started.",
      entry: ["nextRun", tell("starting"), "spawn"],
      on: {
        spawned: { guard: "isThisRun", target: "running", actions: ["identify", "watch"] },
        spawnFailed: [
          { guard: "isUnwanted", target: "stopped", actions: ["rememberEnd", tell("gone")] },
          { guard: "mayRestart", target: "backoff", actions: ["rememberEnd", "countRestart"] },
          { guard: "isThisRun", target: "failed", actions: "rememberEnd" },
        ],
        restored: { target: "starting", reenter: true },
      },
    },
    running: {
      description: "The process runs.",
      entry: tell("up"),
      always: { guard: "wantsOther", target: "stopping" },
      after: { sustained: { actions: "forgive" } },
      on: {
        run: { actions: ["want", tell("up")] },
        exited: [
          { guard: "mayRestart", target: "backoff", actions: ["rememberEnd", "countRestart"] },
          { guard: "isThisRun", target: "failed", actions: "rememberEnd" },
        ],
        restored: [
          { guard: "isAlive", actions: ["watch", tell("up")] },
          { target: "starting", actions: "forgetIdentity" },
        ],
      },
    },
    backoff: {
      description: "The process has ended and is started again after a wait.",
      entry: tell("restarting"),
      always: { guard: "wantsOther", target: "stopped", actions: tell("gone") },
      after: { backoff: "starting" },
      on: { run: { actions: ["want", tell("restarting")] }, restored: { actions: tell("restarting") } },
    },
    stopping: {
      description: "The process was asked to end, and is killed with its whole group if it does not.",
      entry: [tell("stopping"), "kill"],
      initial: "ending",
      states: {
        ending: {
          description: "It has its grace time to end by itself.",
          on: { killFailed: { guard: "isThisRun", target: "resisting" } },
        },
        resisting: {
          description: "It could not be ended and is killed again after a wait.",
          after: { killAgain: { target: "ending", actions: "kill" } },
        },
      },
      on: {
        killed: { guard: "isThisRun", target: "stopped", actions: ["forgetIdentity", tell("gone")] },
        restored: { target: "stopping", reenter: true },
      },
    },
    failed: {
      description:
        "The process ended too often in a row and is not started again until something else is asked for.",
      entry: tell("failed"),
      always: { guard: "wantsOther", target: "stopped", actions: tell("gone") },
      on: { run: { actions: ["want", tell("failed")] }, restored: { actions: tell("failed") } },
    },
  },
});
