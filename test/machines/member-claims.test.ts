import { describe, expect, test } from "vitest";
import type { MemberEvent } from "../../machines/member.js";
import { driveMember, restoreMember } from "./drive.js";
import {
  claim,
  failedOnV2,
  inProgress,
  letGo,
  onV1,
  onV2,
  recordOf,
  release,
  report,
  reset,
  status,
  tell,
  update,
} from "./happenings.js";
import { claimOf, instanceOf, v1, v2, v2c1 } from "./samples.js";

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
    expect(member.send(letGo)).toEqual([expect.objectContaining({ type: "note", what: "released" })]);
    expect([update(member), recordOf(member).desired]).toEqual(["COMPLETED", v2]);
  });

  test("an instance that was told nothing is left alone", () => {
    const member = driveMember(onV1);
    member.send(report({ observedGeneration: 1 }), claim());
    expect(member.send(letGo)).toEqual([expect.objectContaining({ type: "note", what: "released" })]);
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
      { type: "note", what: "moved", data: { agent: "a2", generation: 2 } },
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
    expect(member.send(bind)).toEqual([
      { type: "note", what: "moved", data: { agent: "a2", generation: 0 } },
    ]);
    expect(recordOf(member)).toMatchObject({ agent: "a2", generation: 0, desired: null });
    expect(update(member)).toBe("NOT_NEEDED");
  });
});

test("a claim of a rollback tells even an instance that still runs what it had before", () => {
  const member = driveMember({ ...onV1, claim: claimOf({ state: "told", toldAtMs: 0 }) });
  member.send(report({ observedGeneration: 1 }), claim({ deployment: "d2", target: v1, urgent: true }));
  expect(update(member)).toBe("NEEDING_UPDATE");
});
