import { describe, expect, test } from "vitest";
import type { MemberEvent } from "../../machines/member.js";
import type { Health } from "../../src/contracts/instance.js";
import { driveMember } from "./drive.js";
import {
  claim,
  failedOnV2,
  inProgress,
  onV1,
  onV2,
  recordOf,
  release,
  report,
  reset,
  silent,
  status,
  tell,
  update,
} from "./happenings.js";
import { broken, instanceOf, type SightingChanges, v1, v2, v2c1 } from "./samples.js";

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

test("labels are those of the newest report", () => {
  const member = driveMember(onV1);
  member.send(report({ labels: { tier: "db", zone: "b" } }));
  expect(recordOf(member).labels).toEqual({ tier: "db", zone: "b" });
});
