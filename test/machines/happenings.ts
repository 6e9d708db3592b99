import { expect } from "vitest";
import type { MemberEvent } from "../../machines/member.js";
import { type DrivenMember, driveMember } from "./drive.js";
import { broken, instanceOf, type SightingChanges, sightingOf, v1, v2 } from "./samples.js";

/** What may happen to an instance, for the tests of the member machine. */

export const report = (changes: SightingChanges = {}): MemberEvent => ({
  type: "report",
  sighting: sightingOf(changes),
});
export const silent: MemberEvent = { type: "silent" };
export const reset: MemberEvent = { type: "reset", deadlineMs: 100_000 };
export const tell: Extract<MemberEvent, { type: "tell" }> = {
  type: "tell",
  deployment: "d1",
  toldAtMs: 0,
  deadlineMs: 100_000,
};
export const release = (completed: boolean): MemberEvent => ({ type: "release", completed });
/** The deployment ends early. */
export const letGo: MemberEvent = { type: "release", completed: false, goBack: { deadlineMs: 100_000 } };

export function claim(changes: Partial<Extract<MemberEvent, { type: "claim" }>> = {}): MemberEvent {
  return {
    type: "claim",
    deployment: "d1",
    target: v2,
    before: v1,
    urgent: false,
    minHealthyMs: 10_000,
    ...changes,
  };
}

/** It runs v1, as it was told once. */
export const onV1 = instanceOf({ generation: 1, desired: v1, stable: v1 });
export const status = (member: DrivenMember) => member.snapshot.value.status;
export const update = (member: DrivenMember) => member.snapshot.value.update;
export const recordOf = (member: DrivenMember) => member.snapshot.context.record;

/** On its way to v2, its second generation. */
export function inProgress(): DrivenMember {
  const member = driveMember(onV1);
  member.send(report({ observedGeneration: 1 }), claim(), tell);
  expect(update(member)).toBe("IN_PROGRESS");
  return member;
}

export const onV2 = (changes: SightingChanges = {}) =>
  report({ observedGeneration: 2, running: v2, ...changes });
export const failedOnV2 = onV2({ health: "FAILED", reason: broken });
