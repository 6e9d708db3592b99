import { assign, emit, setup } from "xstate";
import type { Claim, ClaimState, InstanceRecord } from "../src/contracts/deployment.js";
import type { Health, InstanceState, Labels, Reason } from "../src/contracts/instance.js";
import { sameVersion, type VersionPair } from "../src/contracts/version.js";
import { owedBy, updateFromRecord } from "./member-record.js";

/*
 * What the coordinator knows of one instance: its status (what it reports, or UNKNOWN while it is silent) beside its
 * update state (how far it is with what it was told). Driven by reports, by the silence of the instance, and by the
 * deployment that owns it. It decides whether an update has succeeded or failed, writes the desired state
 * of its instance, and keeps the record by which a new leader knows it. Status follows the facts by eventless
 * transitions; the update state moves by commands first and by facts then.
 */

/** The newest that an instance said of itself. */
export interface Sighting {
  readonly incarnation: string;
  readonly observedGeneration: number;
  readonly digest: string;
  readonly healthyForMs: number;
  readonly phaseAgeMs: number;
  readonly state: InstanceState;
}

export interface MemberContext {
  readonly record: InstanceRecord;
  readonly seen: Sighting | null;
  /** It has missed its reports. */
  readonly silent: boolean;
  /** Another agent that reports under this instance's name. */
  readonly stranger: string | null;
}

export type MemberEvent =
  | { readonly type: "report"; readonly sighting: Sighting }
  | { readonly type: "silent" }
  | { readonly type: "stranger"; readonly agent: string }
  | {
      readonly type: "claim";
      readonly deployment: string;
      readonly target: VersionPair | null;
      readonly before: VersionPair | null;
      readonly urgent: boolean;
      readonly minHealthyMs: number;
    }
  /** `target` is given where no claim names one: what is owed, or the way back. */
  | {
      readonly type: "tell";
      readonly deployment: string | null;
      readonly target?: VersionPair | null;
      readonly toldAtMs: number;
      readonly deadlineMs: number;
      readonly minHealthyMs: number;
    }
  | { readonly type: "expire"; readonly reason: Reason }
  | { readonly type: "release"; readonly completed: boolean }
  | { readonly type: "reset" }
  | { readonly type: "owe"; readonly deployment: string; readonly target: VersionPair }
  | { readonly type: "bind"; readonly agent: string; readonly deadlineMs: number };

export type MemberCommand =
  /** Durable: the desired state of this instance, under its new generation. */
  | {
      readonly type: "desire";
      readonly agent: string;
      readonly generation: number;
      readonly deployment: string | null;
      readonly target: VersionPair | null;
      readonly minHealthyMs: number;
      readonly deadlineMs: number;
    }
  /** Durable: an event of the audit log. */
  | { readonly type: "note"; readonly what: string; readonly data: Readonly<Record<string, unknown>> };

/** What the instance says, but for failures that were reset since. */
export function reportedHealth(context: MemberContext): Health {
  if (context.seen === null || context.silent) return "UNKNOWN";
  const { health } = context.seen.state;
  const { resetGeneration } = context.record;
  const wasReset = resetGeneration > 0 && context.seen.observedGeneration <= resetGeneration;
  return health === "FAILED" && wasReset ? "UNKNOWN" : health;
}

/** Runs, healthy and for long enough, exactly what it was last told, and says so of that very command. */
function isThere({ record, seen, silent }: MemberContext): boolean {
  if (seen === null || silent || seen.observedGeneration < record.generation) return false;
  if (!sameVersion(seen.state.running, record.desired)) return false;
  if (record.desired === null) return seen.state.phase === "STOPPED";
  return seen.state.health === "HEALTHY" && seen.healthyForMs >= (record.claim?.minHealthyMs ?? 0);
}

function withClaim(context: MemberContext, change: Partial<Claim>): Partial<MemberContext> {
  const { record } = context;
  return record.claim === null ? {} : { record: { ...record, claim: { ...record.claim, ...change } } };
}

function sameLabels(one: Labels, other: Labels): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

const unseen: Reason = { code: "UNKNOWN", message: "The instance failed without a reason." };

export const memberMachine = setup({
  types: {
    context: {} as MemberContext,
    events: {} as MemberEvent,
    emitted: {} as MemberCommand,
    input: {} as { readonly record: InstanceRecord },
  },
  guards: {
    saysHealthy: ({ context }) => reportedHealth(context) === "HEALTHY",
    saysDegraded: ({ context }) => reportedHealth(context) === "DEGRADED",
    saysFailed: ({ context }) => reportedHealth(context) === "FAILED",
    saysNothing: ({ context }) => reportedHealth(context) === "UNKNOWN",
    /** The claimed version runs here already. */
    runsTarget: ({ context, event }) =>
      event.type === "claim" &&
      !event.urgent &&
      context.seen !== null &&
      sameVersion(context.seen.state.running, event.target) &&
      sameVersion(context.record.desired, event.target),
    /** It names what to run, or comes from the deployment whose claim does. */
    isForItsOwner: ({ context, event }) =>
      event.type === "tell" &&
      (event.target !== undefined ||
        (context.record.claim !== null && context.record.claim.deployment === event.deployment)),
    /** The deployment has completed without it: it gets its turn when it is reachable again. */
    staysOwed: ({ event }) => event.type === "release" && event.completed,
    /** There is a desired state; without one it keeps what it runs. */
    wasTold: ({ context }) => context.record.generation > 0,
    hasSucceeded: ({ context }) => isThere(context),
    hasFailed: ({ context }) =>
      context.seen !== null &&
      context.seen.observedGeneration >= context.record.generation &&
      reportedHealth(context) === "FAILED",
  },
  actions: {
    remember: assign(({ context, event }) => {
      if (event.type !== "report") return {};
      const { labels } = event.sighting.state;
      const record = sameLabels(labels, context.record.labels)
        ? context.record
        : { ...context.record, labels };
      return { seen: event.sighting, silent: false, record };
    }),
    fallSilent: assign({ silent: true }),
    rememberStranger: assign(({ event }) => (event.type === "stranger" ? { stranger: event.agent } : {})),
    takeClaim: assign(({ context, event }, params: { state: ClaimState }) => {
      if (event.type !== "claim") return {};
      const { deployment, target, before, urgent, minHealthyMs } = event;
      const claim: Claim = {
        deployment,
        state: params.state,
        target,
        before,
        urgent,
        minHealthyMs,
        toldAtMs: null,
        hasFailed: false,
        reason: null,
      };
      // A rollback forgives the failures that led to it.
      const resetGeneration = urgent ? context.record.generation : context.record.resetGeneration;
      return { record: { ...context.record, claim, resetGeneration } };
    }),
    /** What it is told from now on, as a new generation. */
    raiseGeneration: assign(({ context, event }) => {
      if (event.type !== "tell") return {};
      const { record } = context;
      const target = event.target === undefined ? (record.claim?.target ?? null) : event.target;
      const claim: Claim | null =
        record.claim && event.target === undefined
          ? { ...record.claim, state: "told", toldAtMs: event.toldAtMs }
          : record.claim;
      const { owed, stable } = record;
      // What it gets of a completed deployment it got from that one: a rollback of it takes this instance too.
      const last =
        claim === null && owed !== null
          ? { deployment: owed.deployment, before: stable, result: "told" as const }
          : record.last;
      const generation = record.generation + 1;
      return { record: { ...record, generation, desired: target, claim, owed: null, last } };
    }),
    desire: emit(({ context, event }): MemberCommand => {
      const { record } = context;
      const deadlineMs = event.type === "tell" || event.type === "bind" ? event.deadlineMs : 0;
      const minHealthyMs = event.type === "tell" ? event.minHealthyMs : (record.claim?.minHealthyMs ?? 0);
      const deployment = event.type === "tell" ? event.deployment : (record.claim?.deployment ?? null);
      return {
        type: "desire",
        agent: record.agent,
        generation: record.generation,
        deployment,
        target: record.desired,
        minHealthyMs,
        deadlineMs,
      };
    }),
    markSucceeded: assign(({ context }) => {
      const { record } = context;
      if (record.claim !== null) return withClaim(context, { state: "succeeded", reason: null });
      // It has caught up with a deployment that is over: with one that completed, or with the way back.
      return record.last?.result === "told" ? { record: { ...record, stable: record.desired } } : {};
    }),
    markFailed: assign(({ context, event }) => {
      const reason = event.type === "expire" ? event.reason : (context.seen?.state.reason ?? unseen);
      return withClaim(context, { state: "failed", hasFailed: true, reason });
    }),
    noteTold: emit(
      ({ context }): MemberCommand => ({
        type: "note",
        what: "told",
        data: { generation: context.record.generation, target: context.record.desired },
      }),
    ),
    noteSucceeded: emit(
      ({ context }): MemberCommand => ({
        type: "note",
        what: "succeeded",
        data: { generation: context.record.generation, version: context.record.desired },
      }),
    ),
    noteFailed: emit(({ context, event }): MemberCommand => {
      const reason = event.type === "expire" ? event.reason : (context.seen?.state.reason ?? unseen);
      return {
        type: "note",
        what: "failed",
        data: { generation: context.record.generation, version: context.record.desired, reason },
      };
    }),
    noteReset: emit({ type: "note", what: "reset", data: {} } satisfies MemberCommand),
    /** The claim ends; a completed deployment's success becomes the stable version. */
    endClaim: assign(({ context, event }) => {
      const { record } = context;
      const { claim } = record;
      if (event.type !== "release" || claim === null) return {};
      const touched = claim.toldAtMs !== null || claim.hasFailed;
      const reached =
        claim.state === "succeeded" || (claim.state === "notNeeded" && reportedHealth(context) === "HEALTHY");
      return {
        record: {
          ...record,
          claim: null,
          stable: event.completed && reached ? claim.target : record.stable,
          last: touched
            ? { deployment: claim.deployment, before: claim.before, result: claim.state }
            : record.last,
          owed: event.completed ? owedBy(claim) : record.owed,
        },
      };
    }),
    /** With a claim it waits for its turn again; without one the version that it was told is owed to it. */
    forgive: assign(({ context }) => {
      const { record } = context;
      const claim = record.claim && {
        ...record.claim,
        state: "waiting" as const,
        toldAtMs: null,
        reason: null,
      };
      const owed =
        claim === null && record.desired !== null && record.last !== null
          ? { deployment: record.last.deployment, target: record.desired }
          : record.owed;
      return { record: { ...record, resetGeneration: record.generation, claim, owed } };
    }),
    owe: assign(({ context, event }) =>
      event.type === "owe"
        ? { record: { ...context.record, owed: { deployment: event.deployment, target: event.target } } }
        : {},
    ),
    bind: assign(({ context, event }) => {
      if (event.type !== "bind") return {};
      const { generation } = context.record;
      const record = {
        ...context.record,
        agent: event.agent,
        generation: generation === 0 ? 0 : generation + 1,
      };
      return { stranger: null, seen: null, record };
    }),
  },
}).createMachine({
  id: "member",
  context: ({ input }) => ({ record: input.record, seen: null, silent: false, stranger: null }),
  type: "parallel",
  on: {
    report: { actions: "remember" },
    silent: { actions: "fallSilent" },
    stranger: { actions: "rememberStranger" },
    release: { actions: "endClaim" },
    owe: { actions: "owe" },
  },
  states: {
    status: {
      description: "How it is, by what it says of itself.",
      initial: "UNKNOWN",
      states: {
        UNKNOWN: {
          description:
            "Nothing is known of it: it has not reported yet, has missed its reports, or its failure was reset.",
          always: [
            { guard: "saysHealthy", target: "HEALTHY" },
            { guard: "saysDegraded", target: "DEGRADED" },
            { guard: "saysFailed", target: "FAILED" },
          ],
        },
        HEALTHY: {
          description: "Its health checks succeed.",
          always: [
            { guard: "saysFailed", target: "FAILED" },
            { guard: "saysDegraded", target: "DEGRADED" },
            { guard: "saysNothing", target: "UNKNOWN" },
          ],
        },
        DEGRADED: {
          description: "It serves, and says itself that something is wrong.",
          always: [
            { guard: "saysHealthy", target: "HEALTHY" },
            { guard: "saysFailed", target: "FAILED" },
            { guard: "saysNothing", target: "UNKNOWN" },
          ],
        },
        FAILED: {
          description: "Its update or its health checks have failed.",
          always: [
            { guard: "saysHealthy", target: "HEALTHY" },
            { guard: "saysDegraded", target: "DEGRADED" },
            { guard: "saysNothing", target: "UNKNOWN" },
          ],
        },
      },
    },
    update: {
      description: "How far it is with what it was told.",
      initial: "NOT_NEEDED",
      on: {
        claim: [
          {
            guard: "runsTarget",
            target: ".NOT_NEEDED",
            actions: { type: "takeClaim", params: { state: "notNeeded" } },
          },
          { target: ".NEEDING_UPDATE", actions: { type: "takeClaim", params: { state: "waiting" } } },
        ],
        tell: {
          guard: "isForItsOwner",
          target: ".IN_PROGRESS",
          actions: ["raiseGeneration", "desire", "noteTold"],
        },
        bind: [
          { guard: "wasTold", target: ".IN_PROGRESS", actions: ["bind", "desire"] },
          { actions: "bind" },
        ],
      },
      states: {
        NOT_NEEDED: { description: "It runs what is wanted, or nothing is wanted of it." },
        NEEDING_UPDATE: {
          description: "A deployment wants another version here and has not told it yet.",
          // It goes on waiting: to run what it ran before is no success of the deployment.
          on: { bind: [{ guard: "wasTold", actions: ["bind", "desire"] }, { actions: "bind" }] },
        },
        IN_PROGRESS: {
          description: "It was told a version and is on its way there.",
          always: [
            { guard: "hasSucceeded", target: "COMPLETED", actions: ["markSucceeded", "noteSucceeded"] },
            { guard: "hasFailed", target: "FAILED", actions: ["markFailed", "noteFailed"] },
          ],
          on: { expire: { target: "FAILED", actions: ["markFailed", "noteFailed"] } },
        },
        COMPLETED: {
          description: "It runs the version that it was told, healthy for as long as asked.",
          always: { guard: "hasFailed", target: "FAILED", actions: ["markFailed", "noteFailed"] },
        },
        FAILED: {
          description: "It did not get there, or failed after it did.",
          on: { reset: { target: "NEEDING_UPDATE", actions: ["forgive", "noteReset"] } },
        },
      },
    },
  },
});

/** The state in which a new leader takes a member over: known by its record, not yet heard. */
export function memberFromRecord(record: InstanceRecord) {
  const context: MemberContext = { record, seen: null, silent: false, stranger: null };
  return { value: { status: "UNKNOWN", update: updateFromRecord(record) } as const, context };
}
