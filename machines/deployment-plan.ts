import type { Counts } from "../src/contracts/deployment.js";
import { durationText } from "../src/contracts/duration.js";
import type { Reason } from "../src/contracts/instance.js";
import { isMassSilence, isSilenceOver, type Silence } from "./liveness.js";

/**
 * The arithmetic of a roll-out: who is next, is the threshold reached, what does it wait for. Pure and
 * synchronous; the plan leaves whoever carries it out no choice. The deployment machine calls it at every
 * observation and sequences what it says.
 */

/** What was asked for. */
export interface Wanted {
  readonly batch: number;
  readonly failureThreshold: number;
  readonly deadlineMs: number;
  readonly progressDeadlineMs: number;
  /** It does not fail when nothing has moved for the progress deadline; that is only said. */
  readonly reportsStuck?: boolean;
}

/** An instance that was told and is waited for. */
export interface InFlight {
  readonly instance: string;
  /** On the deployment's clock. */
  readonly toldAtMs: number;
}

/**
 * What is the case, drawn from the members that the deployment owns. Of those who wait or are in flight it names no more than a step
 * takes, and counts the others: a look comes with every report, and costs the same however large the batch is.
 */
export interface Observed {
  /** The newest of the deployment's steps whose effect on the members is in these numbers. */
  readonly step: number;
  readonly total: number;
  readonly notNeeded: number;
  readonly succeeded: number;
  /** Failed now: a reset instance waits again. */
  readonly failed: number;
  /** Distinct instances that ever failed in this deployment and are still in the fleet. */
  readonly everFailed: number;
  /** One of those that have failed now, and why. */
  readonly failure?: { readonly instance: string; readonly reason: Reason } | undefined;
  /** Waiting and not silent, urgent ones left out. */
  readonly waiting: number;
  /** The first of these that were heard of, in the order of their turn; as many as the batch has room for and a step takes, and one in any case, if there are. */
  readonly next: readonly string[];
  /** Waiting, to be told at once: a rollback's in-flight, failed and unreachable instances. */
  readonly urgent: number;
  /** The first of these, as many as a step takes, if there are. */
  readonly nextUrgent: readonly string[];
  /** Waiting, but silent. */
  readonly unreachable: number;
  readonly inFlight: number;
  /** Of these, the ones that {@link isAwaited}. */
  readonly awaited: number;
  /** The first of these, in the order in which they were told; as many as a step takes, if there are. */
  readonly flights: readonly InFlight[];
  /** Of the instances that were told anything, those with a version to go back to. */
  readonly returnable: number;
  /** Changes of these instances that the ledger has not confirmed. */
  readonly unwritten: number;
  readonly silence: Silence;
}

/** How many instances stand where. */
export function countsOf(observed: Observed): Counts {
  const { total, notNeeded, succeeded, failed, unreachable, inFlight } = observed;
  const waiting = observed.waiting + observed.urgent;
  return { total, notNeeded, succeeded, failed, unreachable, inFlight, waiting };
}

/** What limits the decision besides what was asked for. */
export interface Policy {
  /** Paused by a person or held by a rule: nobody new is told and no deadline runs. */
  readonly standing: boolean;
  /** False in the first two report intervals of a leader: nobody is judged by what was not yet heard. */
  readonly mayJudge: boolean;
  /** The deployment's clock: how long it has run, and when an instance last moved. */
  readonly ranMs: number;
  readonly movedAtMs: number;
  /** Failures of instances that have left. */
  readonly leftFailed: number;
}

export interface Plan {
  readonly verdict: "going" | "done" | "failed";
  readonly reason: Reason | null;
  /** Whose deadline has passed. */
  readonly overdue: readonly string[];
  /** Whom to tell now. */
  readonly tell: readonly string[];
  readonly massSilence: boolean;
  readonly silenceOver: boolean;
  /** Something is still to be done, and nothing has moved for the progress deadline. */
  readonly stuck: boolean;
  /** Failures that count. */
  readonly spent: number;
  readonly freeSlots: number;
  /** On the deployment's clock: when a deadline will pass; `null` if none runs. */
  readonly nextDeadlineMs: number | null;
}

/** Instances told or judged in one step: with its record, its desired state and its event each, they fit one ledger batch. */
export const stepMax = 300;

/** Of an instance's reason in the deployment's, which has to fit into the mark of a rollback. */
const exampleCharactersMax = 600;

/** Whether an instance in flight is waited for: unreachable ones of a rollback were told outside the slots, and nobody waits for them. */
export function isAwaited({
  urgent,
  silent,
}: {
  readonly urgent: boolean;
  readonly silent: boolean;
}): boolean {
  return !(urgent && silent);
}

export function plan(wanted: Wanted, observed: Observed, policy: Policy, nowMs: number): Plan {
  const spent = observed.everFailed + policy.leftFailed;
  const { awaited, flights, nextUrgent } = observed;
  const judging = policy.mayJudge && !policy.standing;
  const overdue = judging ? overdueOf(flights, policy.ranMs - wanted.deadlineMs) : [];
  const pending = awaited > 0 || observed.waiting > 0 || observed.urgent > 0;
  const stalledAtMs = policy.movedAtMs + wanted.progressDeadlineMs;
  const stalled = judging && pending && policy.ranMs >= stalledAtMs;
  const reason = failureOf(wanted, {
    spent,
    stalled: stalled && !wanted.reportsStuck,
    failure: observed.failure,
  });
  const massSilence = isMassSilence(observed.silence);
  const freeSlots = Math.max(0, wanted.batch - awaited);
  const deadlines = flights.slice(0, 1).map(({ toldAtMs }) => toldAtMs + wanted.deadlineMs);
  // What was only to be said, and was said, is nothing to wait for.
  if (pending && !(wanted.reportsStuck && policy.ranMs >= stalledAtMs)) deadlines.push(stalledAtMs);
  return {
    verdict: reason !== null ? "failed" : pending ? "going" : "done",
    reason,
    overdue,
    tell:
      policy.standing || reason !== null
        ? []
        : (nextUrgent.length > 0 ? nextUrgent : observed.next.slice(0, freeSlots)).slice(0, stepMax),
    massSilence,
    // The fleet was calm when it was last counted, and is not now: a look that sees both ends no hold.
    silenceOver: !massSilence && isSilenceOver(observed.silence, nowMs),
    stuck: stalled,
    spent,
    freeSlots,
    nextDeadlineMs: deadlines.length === 0 ? null : Math.min(...deadlines),
  };
}

/** They are in the order in which they were told: behind the first who has time left nobody is overdue. */
function overdueOf(flights: readonly InFlight[], toldUntilMs: number): string[] {
  const inTime = flights.findIndex(({ toldAtMs }) => toldAtMs > toldUntilMs);
  return flights.slice(0, inTime < 0 ? flights.length : inTime).map(({ instance }) => instance);
}

function failureOf(
  wanted: Wanted,
  { spent, stalled, failure }: { spent: number; stalled: boolean; failure: Observed["failure"] },
): Reason | null {
  const example =
    failure === undefined
      ? ""
      : ` ${failure.instance}, ${failure.reason.code}: ${failure.reason.message.slice(0, exampleCharactersMax)}`;
  if (spent >= wanted.failureThreshold) {
    const many = spent === 1 ? "1 instance has failed" : `${spent} instances have failed`;
    return {
      code: "FAILURE_THRESHOLD",
      message: `${many}; the failure threshold is ${wanted.failureThreshold}.${example}`,
    };
  }
  return stalled ? stuckReason(wanted) : null;
}

/** Why a deployment is stuck. */
export function stuckReason({ progressDeadlineMs }: Pick<Wanted, "progressDeadlineMs">): Reason {
  return {
    code: "PROGRESS_DEADLINE",
    message: `No instance has moved for ${durationText(progressDeadlineMs)}, the progress deadline.`,
  };
}
