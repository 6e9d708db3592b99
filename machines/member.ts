import { assign, emit, enqueueActions, setup } from "xstate";
import type { ClaimState, InstanceRecord } from "../src/contracts/deployment.js";
import type { Health, Labels, Reason } from "../src/contracts/instance.js";
import { sameVersion } from "../src/contracts/version.js";
import type { MemberCommand, MemberContext, MemberEvent } from "./member-events.js";
import {
  bound,
  caughtUp,
  claimed,
  failed,
  forgiven,
  isOwed,
  minHealthyMsOf,
  released,
  sentBack,
  succeeded,
  told,
  toldAgain,
  type UpdateState,
  updateFromRecord,
  wasTold,
  wasTouched,
  wishOf,
} from "./member-record.js";

export type { MemberCommand, MemberContext, MemberEvent, Sighting } from "./member-events.js";

/*
 * What the coordinator knows of one instance: its status (what it reports, or UNKNOWN while it is silent) beside its
 * update state (how far it is with what it was told). Driven by reports, by the silence of the instance, and by the
 * deployment that owns it. It decides whether an update has succeeded or failed, writes the desired state
 * of its instance, and keeps the record by which a new leader knows it. Status follows the facts by eventless
 * transitions; the update state moves by commands first and by facts then.
 */

/** What the instance says, but for failures that were reset since. */
export function reportedHealth(context: MemberContext): Health {
  if (context.seen === null || context.silent) return "UNKNOWN";
  const { health } = context.seen.state;
  const { resetGeneration } = context.record;
  const wasReset = resetGeneration > 0 && context.seen.observedGeneration <= resetGeneration;
  return health === "FAILED" && wasReset ? "UNKNOWN" : health;
}

/**
 * It acts on what it was last told. The word of another ledger counts only if this one knows of it: a later one is of a future
 * that was lost.
 */
function isAnswer({ record, seen }: MemberContext): boolean {
  if (seen === null) return false;
  return seen.ledger === "own"
    ? seen.observedGeneration >= record.generation
    : seen.observedGeneration === record.generation;
}

/** The record as far as the instance is: what it is told next goes above what any ledger has told it. */
function above({ record, seen }: MemberContext): InstanceRecord {
  const generation = Math.max(record.generation, seen?.observedGeneration ?? 0);
  return generation === record.generation ? record : { ...record, generation };
}

/** Runs, healthy and for long enough, exactly what it was last told, and says so of that very command. */
function isThere(context: MemberContext): boolean {
  const { record, seen, silent } = context;
  if (seen === null || silent || !isAnswer(context)) return false;
  if (!sameVersion(seen.state.running, record.desired)) return false;
  if (record.desired === null) return seen.state.phase === "STOPPED" && reportedHealth(context) !== "FAILED";
  return seen.state.health === "HEALTHY" && seen.healthyForMs >= minHealthyMsOf(record);
}

function sameLabels(one: Labels, other: Labels): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/** Why it has failed: its deadline's reason, or its own. */
function reasonIn({ seen }: MemberContext, event: MemberEvent): Reason {
  if (event.type === "expire") return event.reason;
  return seen?.state.reason ?? { code: "UNKNOWN", message: "The instance failed without a reason." };
}

/** Its record once its deployment has let it go. */
function afterRelease({
  context,
  event,
}: {
  readonly context: MemberContext;
  readonly event: MemberEvent;
}): InstanceRecord {
  const { record } = context;
  if (event.type !== "release" || record.claim === null) return record;
  const { state } = record.claim;
  const reached = state === "succeeded" || (state === "notNeeded" && reportedHealth(context) === "HEALTHY");
  const { completed, undoes = false } = event;
  return released(record, { completed, undoes }, reached);
}

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
    isItsTurn: ({ context: { record }, event }) =>
      event.type === "tell" &&
      record.claim?.deployment === event.deployment &&
      record.claim.state === "waiting",
    mayCatchUp: ({ context: { record }, event }) =>
      event.type === "catchUp" && isOwed(record) && record.owed?.deployment === event.deployment,
    /** The deployment ends early while it is in flight, has failed, or was reset after it failed. */
    isLeftHanging: ({ context: { record }, event }) =>
      event.type === "release" &&
      event.goBack !== undefined &&
      record.claim !== null &&
      record.claim.state !== "succeeded" &&
      wasTouched(record.claim),
    isClaimed: ({ context }) => context.record.claim !== null,
    wasTold: ({ context }) => wasTold(context.record),
    isWantedNoMore: ({ context }) => updateFromRecord(context.record) !== "NEEDING_UPDATE",
    recordSays: ({ context }, params: { update: UpdateState }) =>
      updateFromRecord(context.record) === params.update,
    /** Without a claim, facts decide: it got there after all. */
    hasRecovered: ({ context }) => context.record.claim === null && isThere(context),
    hasSucceeded: ({ context }) => isThere(context),
    hasFailed: ({ context }) => isAnswer(context) && reportedHealth(context) === "FAILED",
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
    /** Before they are remembered. */
    noteLabels: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== "report" || sameLabels(event.sighting.state.labels, context.record.labels)) return;
      const { labels } = event.sighting.state;
      enqueue.emit({ type: "note", what: "relabelled", data: { labels } } satisfies MemberCommand);
    }),
    fallSilent: assign({ silent: true }),
    rememberStranger: assign(({ event }) => (event.type === "stranger" ? { stranger: event.agent } : {})),
    takeClaim: assign(({ context, event }, params: { state: ClaimState }) =>
      event.type === "claim" ? { record: claimed(context.record, { ...event, state: params.state }) } : {},
    ),
    tell: assign(({ context, event }) =>
      event.type === "tell" ? { record: told(above(context), event.toldAtMs) } : {},
    ),
    catchUp: assign(({ context }) => ({ record: caughtUp(above(context)) })),
    sendBack: assign(({ context }) => ({ record: sentBack(above(context)) })),
    /** Under its newest generation. */
    desire: emit(({ context: { record }, event }): MemberCommand => {
      const deadlineMs =
        event.type === "release" ? event.goBack?.deadlineMs : "deadlineMs" in event ? event.deadlineMs : 0;
      return {
        type: "desire",
        agent: record.agent,
        generation: record.generation,
        deployment: wishOf(record),
        target: record.desired,
        minHealthyMs: minHealthyMsOf(record),
        deadlineMs: deadlineMs ?? 0,
      };
    }),
    markSucceeded: assign(({ context }) => ({ record: succeeded(context.record) })),
    markFailed: assign(({ context, event }) => ({
      record: failed(context.record, reasonIn(context, event)),
    })),
    /** Before it is taken; one that a new leader takes again is no news. */
    noteClaimed: enqueueActions(({ context: { record }, event, enqueue }, params: { state: ClaimState }) => {
      if (event.type !== "claim") return;
      const { deployment, target, before, urgent } = event;
      if (record.claim?.deployment === deployment && record.claim.state === params.state) return;
      const data = { deployment, target, before, state: params.state, urgent };
      enqueue.emit({ type: "note", what: "claimed", data } satisfies MemberCommand);
    }),
    /** Before the claim is ended. */
    noteReleased: emit((now): MemberCommand => {
      const { deployment = null } = now.context.record.claim ?? {};
      const { stable, owed } = afterRelease(now);
      return { type: "note", what: "released", data: { deployment, stable, owed } };
    }),
    noteOwed: emit(
      ({ context: { record } }): MemberCommand => ({
        type: "note",
        what: "owed",
        data: { deployment: record.owed?.deployment ?? null, target: record.owed?.target ?? null },
      }),
    ),
    noteMoved: emit(
      ({ context: { record } }): MemberCommand => ({
        type: "note",
        what: "moved",
        data: { agent: record.agent, generation: record.generation },
      }),
    ),
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
      const { generation, desired } = context.record;
      return {
        type: "note",
        what: "failed",
        data: { generation, version: desired, reason: reasonIn(context, event) },
      };
    }),
    noteReset: emit({ type: "note", what: "reset", data: {} } satisfies MemberCommand),
    endClaim: assign((now) => ({ record: afterRelease(now) })),
    forgive: assign(({ context }) => ({ record: forgiven(context.record) })),
    tellAgain: assign(({ context }) => ({ record: toldAgain(forgiven(above(context))) })),
    owe: assign(({ context, event }) =>
      event.type === "owe" ? { record: { ...context.record, owed: event.owed } } : {},
    ),
    bind: assign(({ context, event }) =>
      event.type === "bind" ? { stranger: null, seen: null, record: bound(above(context), event.agent) } : {},
    ),
  },
}).createMachine({
  id: "member",
  context: ({ input }) => ({ record: input.record, seen: null, silent: false, stranger: null }),
  type: "parallel",
  on: {
    report: { actions: ["noteLabels", "remember"] },
    silent: { actions: "fallSilent" },
    stranger: { actions: "rememberStranger" },
    owe: { actions: ["owe", "noteOwed"] },
    resend: { guard: "wasTold", actions: ["desire", "noteTold"] },
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
            actions: [
              { type: "noteClaimed", params: { state: "notNeeded" } },
              { type: "takeClaim", params: { state: "notNeeded" } },
            ],
          },
          {
            target: ".NEEDING_UPDATE",
            actions: [
              { type: "noteClaimed", params: { state: "waiting" } },
              { type: "takeClaim", params: { state: "waiting" } },
            ],
          },
        ],
        tell: { guard: "isItsTurn", target: ".IN_PROGRESS", actions: ["tell", "desire", "noteTold"] },
        catchUp: { guard: "mayCatchUp", target: ".IN_PROGRESS", actions: ["catchUp", "desire", "noteTold"] },
        release: [
          // By way of NOT_NEEDED it comes to where its record says that it is.
          { guard: "isLeftHanging", target: ".NOT_NEEDED", actions: ["sendBack", "desire", "noteTold"] },
          { guard: "isClaimed", target: ".NOT_NEEDED", actions: ["noteReleased", "endClaim"] },
        ],
        // It moves to another agent, and stays as far as it is with its deployment.
        bind: [
          { guard: "wasTold", actions: ["bind", "desire", "noteMoved"] },
          { actions: ["bind", "noteMoved"] },
        ],
      },
      states: {
        NOT_NEEDED: {
          description: "It runs what is wanted, or nothing is wanted of it.",
          always: [
            { guard: { type: "recordSays", params: { update: "NEEDING_UPDATE" } }, target: "NEEDING_UPDATE" },
            { guard: { type: "recordSays", params: { update: "IN_PROGRESS" } }, target: "IN_PROGRESS" },
            { guard: { type: "recordSays", params: { update: "COMPLETED" } }, target: "COMPLETED" },
            { guard: { type: "recordSays", params: { update: "FAILED" } }, target: "FAILED" },
          ],
        },
        NEEDING_UPDATE: {
          description: "Another version is wanted here, and it has not been told yet.",
          always: { guard: "isWantedNoMore", target: "NOT_NEEDED" },
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
          on: {
            bind: [
              { guard: "isClaimed", actions: ["bind", "desire", "noteMoved"] },
              { target: "IN_PROGRESS", actions: ["bind", "desire", "noteMoved"] },
            ],
          },
        },
        FAILED: {
          description: "It did not get there, or failed after it did.",
          always: { guard: "hasRecovered", target: "COMPLETED", actions: ["markSucceeded", "noteSucceeded"] },
          on: {
            reset: [
              { guard: "isClaimed", target: "NEEDING_UPDATE", actions: ["forgive", "noteReset"] },
              { target: "IN_PROGRESS", actions: ["tellAgain", "desire", "noteReset", "noteTold"] },
            ],
            bind: [
              { guard: "isClaimed", actions: ["bind", "desire", "noteMoved"] },
              { target: "IN_PROGRESS", actions: ["bind", "desire", "noteMoved"] },
            ],
          },
        },
      },
    },
  },
});

/** The state of a member of which this is known, once everything that follows from it was written. */
export function memberKnownAs(context: MemberContext) {
  const { record } = context;
  return { value: { status: reportedHealth(context), update: updateFromRecord(record) } as const, context };
}

/** The state in which a new leader takes a member over: known by its record, not yet heard. */
export function memberFromRecord(record: InstanceRecord) {
  return memberKnownAs({ record, seen: null, silent: false, stranger: null });
}
