import type { LedgerEvent } from "../base/ports.js";
import { appEventTypes } from "./app-event-types.js";

/** What a type of event means to whoever reads it. */
interface EventMeaning {
  /**
   * What happened, after the name of the object. `{name}` is filled in from the event's data; a part in square brackets is said
   * only if all of its names are there.
   */
  readonly sentence: string;
  /** When it is written. */
  readonly when: string;
}

/** Every type of event that the audit log of a fleet holds. Types are for ever; sentences may improve. */
export const eventTypes = {
  "deployment.created": {
    sentence:
      "is created[: release {release}][, configuration {config}][, to {selector}]; {matched} matched, batch {batch}, failure threshold {failureThreshold}[ (goes back from {rollbackOf})][ (retries {retryOf})][: {reason}]",
    when: "a deployment takes its instances as its own; step 1",
  },
  "deployment.started": { sentence: "owns its instances and begins", when: "all claims are durable" },
  "deployment.told": {
    sentence: "tells the next of its instances: {instances}",
    when: "the turn of the next instances has come; one step",
  },
  "deployment.expired": {
    sentence: "ends the time of instances in flight: {instances}",
    when: "instances in flight are past their deadline; one step",
  },
  "deployment.paused": { sentence: "is paused[: {reason}]", when: "somebody pauses it" },
  "deployment.resumed": { sentence: "goes on", when: "somebody resumes it" },
  "deployment.held": { sentence: "is held[: {reason}]", when: "too many instances went silent at once" },
  "deployment.released": { sentence: "is held no more", when: "the silence is over" },
  "deployment.forced": {
    sentence: "goes on though instances are silent",
    when: "somebody resumes it with force",
  },
  "deployment.unforced": {
    sentence: "would hold again at the next silence",
    when: "the silence in spite of which it was forced on is over",
  },
  "deployment.stuck": {
    sentence: "is stuck: {reason}",
    when: "none of its instances has moved for its progress deadline",
  },
  "deployment.moving": { sentence: "moves again", when: "an instance of one that was stuck moves" },
  "deployment.aborted": { sentence: "is aborted[: {reason}]", when: "somebody aborts it" },
  "deployment.left": {
    sentence: "has lost an instance that had failed; its failure stays counted",
    when: "an instance that had failed leaves the fleet",
  },
  "deployment.continued": {
    sentence: "takes its last step again",
    when: "another leader takes an unfinished step over, or an instance came during the last step; one step",
  },
  "deployment.completing": {
    sentence: "is done: what succeeded becomes stable",
    when: "every instance is done; one step",
  },
  "deployment.reverting": {
    sentence: "ends early ({outcome})[: {reason}]",
    when: "it failed or was aborted; one step",
  },
  "deployment.rollback": {
    sentence: "is to take back what {rollbackOf} has touched[: {reason}]",
    when: "a deployment fails, or is sent back while it runs; in the batch that ends it",
  },
  "deployment.finished": { sentence: "is over: {outcome}[: {reason}]", when: "its outcome is written, once" },
  "deployment.changed": { sentence: "is changed", when: "its record changes otherwise; not expected" },
  "deployment.alerted": { sentence: "raises an alert, {code}: {message}", when: "a person should look" },
  "deployment.forgotten": {
    sentence: "is removed from the ledger's records",
    when: "more than 1,000 deployments are over: the oldest makes room",
  },
  "instance.joined": {
    sentence: "joins the fleet by agent {agent}",
    when: "the first report of an instance",
  },
  "instance.left": { sentence: "leaves the fleet: {why}", when: "it was removed, or not heard for a day" },
  "instance.relabelled": { sentence: "has other labels: {labels}", when: "it reports other labels" },
  "instance.moved": {
    sentence: "belongs to agent {agent} now[, as generation {generation}]",
    when: "somebody gives it to another agent",
  },
  "instance.claimed": {
    sentence: "is {deployment}'s now, to run {target} ({state})",
    when: "a deployment takes it as its own",
  },
  "instance.released": {
    sentence: "is {deployment}'s no more[, stable on {stable}]",
    when: "its deployment ends",
  },
  "instance.told": {
    sentence: "is told to run {target}, as generation {generation}",
    when: "a desired state is written for its agent",
  },
  "instance.succeeded": {
    sentence: "runs {version}, healthy for long enough",
    when: "its agent reports that it got where it was told to go",
  },
  "instance.failed": {
    sentence: "has failed on {version}: {reason}",
    when: "its agent reports a failure, or its deadline has passed",
  },
  "instance.reset": { sentence: "has its failure forgiven", when: "somebody resets it" },
  "instance.owed": {
    sentence: "is owed {target} by {deployment}",
    when: "what a completed deployment owes an instance changes; {target} is missing if it is owed nothing any more",
  },
  "instance.changed": { sentence: "is changed", when: "its record changes otherwise; not expected" },
  "instance.alerted": { sentence: "raises an alert, {code}: {message}", when: "a person should look" },
  "release.pushed": { sentence: "is registered, {digest}", when: "somebody pushes a release" },
  "release.removed": { sentence: "is removed", when: "somebody removes a release" },
  "config.pushed": { sentence: "is registered, {digest}", when: "somebody pushes a configuration" },
  "config.removed": { sentence: "is removed", when: "somebody removes a configuration" },
  "fleet.mended": {
    sentence: "{object} is put right: {what}; {why}",
    when: "a reconciliation has done one thing; in the batch that does it, if it is one in the ledger",
  },
  "fleet.reconciled": {
    sentence: "is reconciled: {found} found, {done} done, {left} left, {failed} failed[: {reason}]",
    when: "a reconciliation is over; not of a dry run",
  },
  ...appEventTypes,
  "coordinator.leading": {
    sentence: "leads the fleet",
    when: "a coordinator begins to lead, under a new epoch",
  },
  "coordinator.resigned": {
    sentence: "hands the lead over",
    when: "a leader is stopped in order; one that dies or is cut off says nothing",
  },
  "ledger.formats.raised": {
    sentence: "is written in newer formats from now on: {written}",
    when: "every coordinator that answers reads them",
  },
  "ledger.begun": {
    sentence: "is new: ledger {ledgerId} begins",
    when: "the first leader of a new ledger; the one before it, if any, is lost",
  },
  "ledger.restoring": {
    sentence: "is being restored from a backup of ledger {ledgerId}, revision {revision}",
    when: "somebody restores it; the first event of its new identity, with the end of the log before it",
  },
  "ledger.rewritten": {
    sentence: "has {keys} keys written or removed by a restore",
    when: "a restore goes on",
  },
  "ledger.restored": {
    sentence: "is restored, {records} records",
    when: "a restore is done",
  },
} as const satisfies Readonly<Record<string, EventMeaning>>;

export type EventType = keyof typeof eventTypes;

/** What happens to an object of a kind: `told` of an instance. */
export type Happening<Kind extends string> = EventType extends infer T
  ? T extends `${Kind}.${infer What}`
    ? What
    : never
  : never;

/** An event that the audit log of a fleet may hold. */
export interface FleetEvent extends LedgerEvent {
  readonly type: EventType;
}

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(eventTypes, type);
}
