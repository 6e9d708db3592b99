import { describe, expect, test } from "vitest";
import type { MemberEvent } from "../../machines/member.js";
import type { Health } from "../../src/contracts/instance.js";
import { type DrivenMember, driveMember, restoreMember } from "./drive.js";
import { broken, claimOf, instanceOf, type SightingChanges, sightingOf, v1, v2, v2c1 } from "./samples.js";

const report = (changes: SightingChanges = {}): MemberEvent => ({
  type: "report",
  sighting: sightingOf(changes),
});
const silent: MemberEvent = { type: "silent" };
const reset: MemberEvent = { type: "reset", deadlineMs: 100_000 };
const tell: MemberEvent = { type: "tell", deployment: "d1", toldAtMs: 0, deadlineMs: 100_000 };
const release = (completed: boolean): MemberEvent => ({ type: "release", completed });
/** The deployment ends early. */
const letGo: MemberEvent = { type: "release", completed: false, goBack: { deadlineMs: 100_000 } };

function claim(changes: Partial<Extract<MemberEvent, { type: "claim" }>> = {}): MemberEvent {
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
const onV1 = instanceOf({ generation: 1, desired: v1, stable: v1 });
const status = (member: DrivenMember) => member.snapshot.value.status;
const update = (member: DrivenMember) => member.snapshot.value.update;
const recordOf = (member: DrivenMember) => member.snapshot.context.record;

/** On its way to v2, its second generation. */
function inProgress(): DrivenMember {
  const member = driveMember(onV1);
  member.send(report({ observedGeneration: 1 }), claim(), tell);
  expect(update(member)).toBe("IN_PROGRESS");
  return member;
}

const onV2 = (changes: SightingChanges = {}) => report({ observedGeneration: 2, running: v2, ...changes });
const failedOnV2 = onV2({ health: "FAILED", reason: broken });

describe("the status of an instance, by every arrow of the seed's diagram", () => {
  const says = (health: Health) => report({ health, observedGeneration: 1 });
  const arrows: readonly (readonly [from: Health, how: string, event: MemberEvent, to: Health])[] = [
    ["UNKNOWN", "reports healthy", says("HEALTHY"), "HEALTHY"],
    ["UNKNOWN", "reports failed", says("FAILED"), "FAILED"],
    ["UNKNOWN", "reports degraded", says("DEGRADED"), "DEGRADED"],
    ["HEALTHY", "fails", says("FAILED"), "FAILED"],
    ["HEALTHY", "gets worse", says("DEGRADED"), "DEGRADED"],
    ["HEALTHY", "misses its reports", silent, "UNKNOWN"],
    ["DEGRADED", "recovers", says("HEALTHY"), "HEALTHY"],
    ["DEGRADED", "fails", says("FAILED"), "FAILED"],
    ["DEGRADED", "misses its reports", silent, "UNKNOWN"],
    ["FAILED", "recovers", says("HEALTHY"), "HEALTHY"],
    ["FAILED", "half recovers", says("DEGRADED"), "DEGRADED"],
    ["FAILED", "misses its reports", silent, "UNKNOWN"],
  ];

  test.each(arrows)("%s, %s → %4$s", (from, _how, event, to) => {
    const member = driveMember(onV1);
    if (from !== "UNKNOWN") member.send(says(from));
    expect(status(member)).toBe(from);
    member.send(event);
    expect(status(member)).toBe(to);
  });

  test("FAILED, is reset → UNKNOWN", () => {
    const member = inProgress();
    member.send(failedOnV2);
    expect(status(member)).toBe("FAILED");
    member.send(reset);
    expect(status(member)).toBe("UNKNOWN");
  });

  test("an instance is UNKNOWN until it is heard", () => {
    expect(status(driveMember(onV1))).toBe("UNKNOWN");
  });

  test("an instance that was never told anything can be FAILED too", () => {
    const member = driveMember(instanceOf());
    member.send(report({ health: "FAILED", reason: broken }));
    expect(status(member)).toBe("FAILED");
  });

  test("one report after a silence says how it is", () => {
    const member = driveMember(onV1);
    member.send(says("HEALTHY"), silent, says("HEALTHY"));
    expect(status(member)).toBe("HEALTHY");
  });
});

describe("the update state of an instance, by the seed's table of conditions", () => {
  const every: readonly Health[] = ["UNKNOWN", "HEALTHY", "DEGRADED", "FAILED"];

  test.each(every)("runs v1, v1 is wanted, %s: needs no update", (health) => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1, health }), claim({ target: v1 }));
    expect(update(member)).toBe("NOT_NEEDED");
    expect(recordOf(member).claim?.state).toBe("notNeeded");
  });

  test.each(every)("runs v1, v2 is wanted, %s: needs an update", (health) => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1, health }), claim());
    expect(update(member)).toBe("NEEDING_UPDATE");
  });

  test("runs v1, was told v2: in progress", () => {
    expect(update(inProgress())).toBe("IN_PROGRESS");
  });

  test("was told v2, runs v2 and is HEALTHY: completed", () => {
    const member = inProgress();
    const commands = member.send(onV2());
    expect(update(member)).toBe("COMPLETED");
    expect(commands).toEqual([{ type: "note", what: "succeeded", data: { generation: 2, version: v2 } }]);
  });

  test("was told v2 and is FAILED: failed, with the reason", () => {
    const member = inProgress();
    const commands = member.send(failedOnV2);
    expect(update(member)).toBe("FAILED");
    expect(recordOf(member).claim).toMatchObject({ state: "failed", hasFailed: true, reason: broken });
    expect(commands).toEqual([
      { type: "note", what: "failed", data: { generation: 2, version: v2, reason: broken } },
    ]);
  });

  test("the configuration counts like the code", () => {
    const member = driveMember(instanceOf({ generation: 1, desired: v2, stable: v2 }));
    member.send(report({ observedGeneration: 1, running: v2 }), claim({ target: v2c1 }));
    expect(update(member)).toBe("NEEDING_UPDATE");
    member.send(tell, report({ observedGeneration: 2, running: v2 }));
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 2, running: v2c1 }));
    expect(update(member)).toBe("COMPLETED");
  });
});

describe("the update state of an instance, by the other arrows of the seed's diagram", () => {
  const next = claim({ deployment: "d2", target: { release: "v3", config: null } });

  test("NOT_NEEDED, a deployment wants another version → NEEDING_UPDATE", () => {
    const member = driveMember(onV1);
    expect(update(member)).toBe("NOT_NEEDED");
    member.send(report({ observedGeneration: 1 }), next);
    expect(update(member)).toBe("NEEDING_UPDATE");
  });

  test("COMPLETED, a new deployment wants another version → NEEDING_UPDATE", () => {
    const member = inProgress();
    member.send(onV2(), release(true));
    expect(update(member)).toBe("COMPLETED");
    member.send(next);
    expect(update(member)).toBe("NEEDING_UPDATE");
  });

  test("FAILED, is reset and told again → IN_PROGRESS", () => {
    const member = inProgress();
    member.send(failedOnV2, reset);
    expect(update(member)).toBe("NEEDING_UPDATE");
    member.send(tell);
    expect(update(member)).toBe("IN_PROGRESS");
    expect(recordOf(member)).toMatchObject({ generation: 3, desired: v2 });
  });

  test("COMPLETED, fails afterwards → FAILED", () => {
    const member = inProgress();
    member.send(onV2(), failedOnV2);
    expect(update(member)).toBe("FAILED");
    expect(recordOf(member).claim).toMatchObject({ state: "failed", hasFailed: true });
  });

  test("a reset concerns only what has failed", () => {
    const member = inProgress();
    expect(member.send(reset)).toEqual([]);
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(onV2());
    expect(member.send(reset)).toEqual([]);
    expect(update(member)).toBe("COMPLETED");
  });
});

describe("an update has succeeded only", () => {
  const notYet: readonly (readonly [why: string, report: SightingChanges])[] = [
    ["when the instance says so of the newest command", { observedGeneration: 1 }],
    ["on exactly the version that it was told", { running: v1 }],
    ["on exactly the configuration that it was told", { running: v2c1 }],
    ["after it was healthy for as long as asked", { healthyForMs: 9_999 }],
    ["when it is healthy: DEGRADED is neither success nor failure", { health: "DEGRADED" }],
    ["when it is healthy: UNKNOWN is neither success nor failure", { health: "UNKNOWN" }],
    ["when something runs", { running: null, phase: "STOPPED" }],
  ];

  test.each(notYet)("%s", (_why, changes) => {
    const member = inProgress();
    member.send(onV2(changes));
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(onV2({ healthyForMs: 10_000 }));
    expect(update(member)).toBe("COMPLETED");
  });

  test("of a command to stop, when nothing runs and it says that it has stopped", () => {
    const member = driveMember(onV1);
    member.send(claim({ target: null, urgent: true }), tell);
    member.send(report({ observedGeneration: 2, running: null, health: "UNKNOWN", phase: "QUEUED" }));
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 2, running: null, health: "UNKNOWN", phase: "STOPPED" }));
    expect(update(member)).toBe("COMPLETED");
  });
});

describe("an update has not failed", () => {
  test("by a failure that the instance reports of an older command", () => {
    const member = inProgress();
    member.send(report({ observedGeneration: 1, health: "FAILED", reason: broken }));
    expect([status(member), update(member)]).toEqual(["FAILED", "IN_PROGRESS"]);
  });

  test("by silence", () => {
    const member = inProgress();
    member.send(silent);
    expect([status(member), update(member)]).toEqual(["UNKNOWN", "IN_PROGRESS"]);
  });

  test("again by the old report of a failure that was reset", () => {
    const member = inProgress();
    member.send(failedOnV2, reset, failedOnV2);
    expect([status(member), update(member)]).toEqual(["UNKNOWN", "NEEDING_UPDATE"]);
    const commands = member.send(tell, failedOnV2);
    expect([status(member), update(member)]).toEqual(["UNKNOWN", "IN_PROGRESS"]);
    expect(commands.map((command) => (command.type === "note" ? command.what : command.type))).toEqual([
      "desire",
      "told",
    ]);
    member.send(onV2({ observedGeneration: 3, health: "FAILED", reason: broken }));
    expect([status(member), update(member)]).toEqual(["FAILED", "FAILED"]);
  });

  test("by the failures that led to a rollback, once the rollback has it", () => {
    const member = inProgress();
    member.send(failedOnV2, claim({ deployment: "d2", target: v1, urgent: true }));
    expect([status(member), update(member)]).toEqual(["UNKNOWN", "NEEDING_UPDATE"]);
    expect(recordOf(member).claim?.hasFailed).toBe(false);
  });
});

describe("a deadline", () => {
  const expire: MemberEvent = { type: "expire", reason: { code: "INSTANCE_DEADLINE", message: "Too late." } };

  test("makes an update fail, for the reason that is given", () => {
    const member = inProgress();
    member.send(expire);
    expect(update(member)).toBe("FAILED");
    expect(recordOf(member).claim).toMatchObject({ hasFailed: true, reason: { code: "INSTANCE_DEADLINE" } });
    member.send(onV2());
    expect(update(member), "late success takes nothing back").toBe("FAILED");
  });

  test("that comes too late does nothing", () => {
    const member = inProgress();
    member.send(onV2());
    expect(member.send(expire)).toEqual([]);
    expect(update(member)).toBe("COMPLETED");
  });
});

describe("what an instance is told", () => {
  test("is a new generation each time, with the deadline and the healthy time", () => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1 }), claim());
    expect(member.send(tell)[0]).toEqual({
      type: "desire",
      agent: "a1",
      generation: 2,
      deployment: "d1",
      target: v2,
      minHealthyMs: 10_000,
      deadlineMs: 100_000,
    });
  });

  test("before its turn has come, or a second time, is nothing", () => {
    const member = inProgress();
    expect(member.send(tell)).toEqual([]);
    member.send(onV2());
    expect(member.send(tell)).toEqual([]);
    expect(recordOf(member).generation).toBe(2);
  });

  test("by a deployment that does not own it is nothing: it is not asked to stop", () => {
    const member = driveMember(onV1);
    expect(member.send(tell)).toEqual([]);
    expect(recordOf(member)).toEqual(onV1);
    member.send(claim({ deployment: "d7" }));
    expect(member.send(tell)).toEqual([]);
    expect(recordOf(member)).toMatchObject({ generation: 1, desired: v1, claim: { state: "waiting" } });
  });
});

test("a rollback that takes an instance over and does not get to it leaves what a second try goes by", () => {
  const member = inProgress();
  member.send(onV2(), claim({ deployment: "d2", target: v1, before: v1 }), release(false));
  expect(recordOf(member)).toMatchObject({
    claim: null,
    desired: v2,
    last: { deployment: "d1", before: v1, result: "succeeded" },
  });
});

describe("when its deployment ends early", () => {
  const wayBack = expect.objectContaining({ type: "desire", generation: 3, target: v1, deployment: null });

  test.each([
    ["is in flight", []],
    ["has failed", [failedOnV2]],
    ["has failed and was reset", [failedOnV2, reset]],
  ])("an instance that %s is told what was stable before", (_how, events) => {
    const member = inProgress();
    member.send(...events);
    expect(member.send(letGo)).toContainEqual(wayBack);
    expect(update(member)).toBe("IN_PROGRESS");
    expect(recordOf(member)).toMatchObject({
      claim: null,
      desired: v1,
      last: { deployment: "d1", before: v1 },
    });
    member.send(report({ observedGeneration: 3, running: v1 }));
    expect(update(member)).toBe("COMPLETED");
    expect(recordOf(member)).toMatchObject({ stable: v1, owed: null });
  });

  test("an instance without a version before is told to stop", () => {
    const member = driveMember(instanceOf());
    member.send(claim({ before: null }), tell);
    expect(member.send(letGo)).toContainEqual(expect.objectContaining({ type: "desire", target: null }));
    member.send(report({ observedGeneration: 2, running: null, health: "UNKNOWN", phase: "STOPPED" }));
    expect(update(member)).toBe("COMPLETED");
  });

  test("an instance that has succeeded stays where it is", () => {
    const member = inProgress();
    member.send(onV2());
    expect(member.send(letGo)).toEqual([]);
    expect([update(member), recordOf(member).desired]).toEqual(["COMPLETED", v2]);
  });

  test("an instance that was told nothing is left alone", () => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1 }), claim());
    expect(member.send(letGo)).toEqual([]);
    expect(update(member)).toBe("NOT_NEEDED");
    expect(recordOf(member)).toEqual(onV1);
  });
});

describe("the stable version", () => {
  test("moves when a deployment on which the instance succeeded has completed", () => {
    const member = inProgress();
    member.send(onV2(), release(true));
    expect(recordOf(member)).toMatchObject({
      stable: v2,
      claim: null,
      last: { deployment: "d1", before: v1, result: "succeeded" },
    });
  });

  test.each([
    ["the deployment ends otherwise", [onV2(), release(false)]],
    ["the instance has failed", [failedOnV2, release(true)]],
    ["the instance is not there yet", [release(true)]],
  ])("stays when %s", (_when, events) => {
    const member = inProgress();
    member.send(...events);
    expect(recordOf(member)).toMatchObject({ stable: v1, claim: null, last: { deployment: "d1" } });
  });

  test("moves too where the new version ran already, and was healthy", () => {
    const member = driveMember(instanceOf({ generation: 2, desired: v2, stable: v1 }));
    member.send(onV2(), claim(), release(true));
    expect(recordOf(member)).toMatchObject({ stable: v2, last: null });
  });

  test("is left alone where a deployment told nothing, and so is what a rollback would go by", () => {
    const last = { deployment: "d0", before: null, result: "succeeded" } as const;
    const member = driveMember({ ...onV1, last });
    member.send(report({ observedGeneration: 1 }), claim(), release(false));
    expect(recordOf(member)).toMatchObject({ stable: v1, last, owed: null });
  });
});

describe("what is owed", () => {
  const owed = { deployment: "d1", target: v2, minHealthyMs: 10_000 };
  const owing = { ...onV1, owed };
  const joined = instanceOf({ owed });
  const catchUp: MemberEvent = { type: "catchUp", deployment: "d1", deadlineMs: 100_000 };

  test("to an instance that was away when its deployment completed is the version", () => {
    const member = driveMember(onV1);
    member.send(claim(), release(true));
    expect(recordOf(member)).toMatchObject({ owed, stable: v1 });
    expect(update(member)).toBe("NEEDING_UPDATE");
  });

  test("to an instance that joins later is the version too", () => {
    expect(update(driveMember(joined))).toBe("NEEDING_UPDATE");
  });

  test("is paid by telling it; from then on a rollback of that deployment takes the instance too", () => {
    const member = driveMember(owing);
    const [desire] = member.send(catchUp);
    expect(desire).toMatchObject({ type: "desire", generation: 2, target: v2, minHealthyMs: 10_000 });
    expect(update(member)).toBe("IN_PROGRESS");
    expect(recordOf(member).last).toEqual({ deployment: "d1", before: v1, result: "told" });
  });

  test("is told once", () => {
    const member = driveMember(owing);
    member.send(catchUp);
    expect(member.send(catchUp)).toEqual([]);
    expect(member.send({ ...catchUp, deployment: "d0" })).toEqual([]);
  });

  test("is the stable version once the instance runs it for long enough: the next roll-out that fails takes it back there", () => {
    const member = driveMember(joined);
    member.send(catchUp, report({ observedGeneration: 1, running: v2, healthyForMs: 9_999 }));
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 1, running: v2 }));
    expect(update(member)).toBe("COMPLETED");
    expect(recordOf(member)).toMatchObject({ stable: v2, owed: null, last: { result: "succeeded" } });
  });

  test("can be told again after it failed, be it an instance that no deployment ever claimed", () => {
    const member = driveMember(joined);
    member.send(catchUp, report({ observedGeneration: 1, running: v2, health: "FAILED" }));
    expect(update(member)).toBe("FAILED");
    const commands = member.send(reset);
    expect(commands).toContainEqual(expect.objectContaining({ type: "desire", generation: 2, target: v2 }));
    expect([status(member), update(member)]).toEqual(["UNKNOWN", "IN_PROGRESS"]);
    member.send(report({ observedGeneration: 2, running: v2 }));
    expect(recordOf(member)).toMatchObject({ stable: v2, owed: null });
  });

  test("is not owed any more once a later deployment has completed there, be it that nothing had to be told", () => {
    const member = driveMember(owing);
    member.send(report({ observedGeneration: 1 }), claim({ deployment: "d2", target: v1 }));
    expect(update(member)).toBe("NOT_NEEDED");
    member.send(release(true));
    expect(recordOf(member)).toMatchObject({ owed: null, stable: v1 });
  });

  test("is still owed after a later deployment that ended without telling it anything", () => {
    const member = driveMember(owing);
    member.send(report({ observedGeneration: 1 }), claim({ deployment: "d2", target: v2c1 }), letGo);
    expect(recordOf(member).owed).toEqual(owed);
    expect(update(member)).toBe("NEEDING_UPDATE");
  });

  test("is shown as needing an update when a later deployment that had told it something ends early", () => {
    for (const end of [letGo, release(false)]) {
      const member = driveMember(owing);
      member.send(claim({ deployment: "d2", target: v2c1 }), { ...tell, deployment: "d2" }, end);
      expect(update(member)).toBe("NEEDING_UPDATE");
      expect(update(restoreMember(recordOf(member))), "a new leader sees the same").toBe("NEEDING_UPDATE");
    }
  });

  test("is still owed after a rollback of another deployment that went through this instance", () => {
    const member = driveMember(owing);
    member.send(report({ observedGeneration: 1 }), claim({ deployment: "d3", target: v1 }));
    member.send({ type: "release", completed: true, undoes: true });
    expect(recordOf(member)).toMatchObject({ owed, stable: v1 });
  });

  test("is not owed any more when its deployment is undone", () => {
    const member = driveMember(owing);
    member.send({ type: "owe", owed: null });
    expect(update(member)).toBe("NOT_NEEDED");
    expect(member.send(catchUp)).toEqual([]);
  });

  test("by a completed deployment is also the version on which the instance failed; it may get there after all", () => {
    const member = inProgress();
    member.send(failedOnV2, release(true));
    expect(update(member)).toBe("FAILED");
    expect(recordOf(member)).toMatchObject({ owed, stable: v1 });
    member.send(onV2());
    expect(update(member)).toBe("COMPLETED");
    expect(recordOf(member)).toMatchObject({ owed: null, stable: v2 });
  });
});

describe("an instance that moves to another agent", () => {
  const bind: MemberEvent = { type: "bind", agent: "a2", deadlineMs: 50_000 };

  test("is told the same again, by the new agent's name, and is on its way until that one has it running", () => {
    const member = driveMember({ ...onV1, last: { deployment: "d0", before: null, result: "succeeded" } });
    expect(update(member)).toBe("COMPLETED");
    member.send(report({ observedGeneration: 1 }), { type: "stranger", agent: "a2" });
    const commands = member.send(bind);
    expect(commands).toEqual([
      expect.objectContaining({ type: "desire", agent: "a2", generation: 2, target: v1, deadlineMs: 50_000 }),
    ]);
    expect(member.snapshot.context).toMatchObject({ stranger: null, seen: null });
    expect(update(member)).toBe("IN_PROGRESS");
    member.send(report({ observedGeneration: 2 }));
    expect(update(member)).toBe("COMPLETED");
  });

  test("is as far as it was with its deployment: waiting for its turn, or done", () => {
    const waiting = driveMember(onV1);
    waiting.send(report({ observedGeneration: 1 }), claim(), bind);
    expect(update(waiting)).toBe("NEEDING_UPDATE");
    waiting.send(report({ observedGeneration: 2, running: v1 }));
    expect(recordOf(waiting).claim?.state, "to run what it ran before is no success").toBe("waiting");
    const done = inProgress();
    done.send(onV2(), bind);
    expect([update(done), recordOf(done).claim?.state]).toEqual(["COMPLETED", "succeeded"]);
  });

  test("is told nothing if it never was: it keeps what it runs", () => {
    const member = driveMember(instanceOf());
    expect(member.send(bind)).toEqual([]);
    expect(recordOf(member)).toMatchObject({ agent: "a2", generation: 0, desired: null });
    expect(update(member)).toBe("NOT_NEEDED");
  });
});

test("labels are those of the newest report", () => {
  const member = driveMember(onV1);
  member.send(report({ labels: { tier: "db", zone: "b" } }));
  expect(recordOf(member).labels).toEqual({ tier: "db", zone: "b" });
});

test("a claim of a rollback tells even an instance that still runs what it had before", () => {
  const member = driveMember({ ...onV1, claim: claimOf({ state: "told", toldAtMs: 0 }) });
  member.send(report({ observedGeneration: 1 }), claim({ deployment: "d2", target: v1, urgent: true }));
  expect(update(member)).toBe("NEEDING_UPDATE");
});
